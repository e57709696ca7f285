#include "usb_controller.h"

#include "../cortex_m/devices.h"
#include "board.h"

/* RP2040 Datasheet, 4.1.3: the memory of the packets, then the registers. */
#define MEMORY_BYTES 4096u
#define PIPE_CONTROL(pipe) EDGERT_REGISTER(BOARD_USB_MEMORY + 4u * (uint32_t)(pipe))
#define PIPE_BUFFER(pipe) EDGERT_REGISTER(BOARD_USB_MEMORY + 0x80u + 4u * (uint32_t)(pipe))
#define CONTROL_AT 0x100u
#define OTHERS_AT 0x180u

#define ADDRESS EDGERT_REGISTER(BOARD_USB + 0x00u)
#define MAIN_CONTROL EDGERT_REGISTER(BOARD_USB + 0x40u)
#define ENGINE_CONTROL EDGERT_REGISTER(BOARD_USB + 0x4Cu)
#define ENGINE_STATUS EDGERT_REGISTER(BOARD_USB + 0x50u)
#define BUFFER_STATUS EDGERT_REGISTER(BOARD_USB + 0x58u)
#define STALL_ARM EDGERT_REGISTER(BOARD_USB + 0x68u)
#define MUXING EDGERT_REGISTER(BOARD_USB + 0x74u)
#define POWER EDGERT_REGISTER(BOARD_USB + 0x78u)
#define INTERRUPT_ENABLE EDGERT_REGISTER(BOARD_USB + 0x90u)

#define MAIN_ENABLE 1u
#define ENGINE_PULL_UP (1u << 16)
#define ENGINE_INTERRUPT_CONTROL_BUFFER (1u << 29)
#define STATUS_SETUP (1u << 17)
#define STATUS_RESET (1u << 19)
#define STALL_ARM_CONTROL 3u
#define MUXING_TO_PHY_SOFT_CONNECT (1u << 3 | 1u)
/* GP24, which would tell of VBUS, is not looked at: a device that runs is plugged in. */
#define POWER_VBUS_IS_THERE (1u << 3 | 1u << 2)
#define INTERRUPT_SETUP (1u << 16)
#define INTERRUPT_RESET (1u << 12)
#define INTERRUPT_BUFFER (1u << 4)

#define PIPE_ENABLE (1u << 31)
#define PIPE_INTERRUPT_PER_BUFFER (1u << 29)
#define PIPE_TRANSFER_AT 26u

#define BUFFER_FULL (1u << 15)
#define BUFFER_DATA_1 (1u << 13)
#define BUFFER_STALL (1u << 11)
#define BUFFER_AVAILABLE (1u << 10)
#define BUFFER_LENGTH 0x3FFu

#define ALL_PIPES 0xFFFFFFFFu

static bool next_is_data_1[USB_PIPES];

/* Endpoint 0 has one buffer for both directions. */
static uint32_t buffer_at(usb_pipe pipe) {
    return pipe < USB_NOTICES_IN ? CONTROL_AT : OTHERS_AT + USB_PACKET_BYTES * ((uint32_t)pipe - USB_NOTICES_IN);
}

volatile uint8_t *usb_pipe_buffer(usb_pipe pipe) {
    return (volatile uint8_t *)(uintptr_t)(BOARD_USB_MEMORY + buffer_at(pipe));
}

void usb_controller_start(void) {
    for (uint32_t at = 0u; at < MEMORY_BYTES; at += 4u) {
        EDGERT_REGISTER(BOARD_USB_MEMORY + at) = 0u;
    }
    MUXING = MUXING_TO_PHY_SOFT_CONNECT;
    POWER = POWER_VBUS_IS_THERE;
    MAIN_CONTROL = MAIN_ENABLE;
    INTERRUPT_ENABLE = INTERRUPT_SETUP | INTERRUPT_RESET | INTERRUPT_BUFFER;
    ENGINE_CONTROL = ENGINE_INTERRUPT_CONTROL_BUFFER | ENGINE_PULL_UP;
}

/* Status bits are cleared by writing a one. */
bool usb_controller_was_reset(void) {
    if ((ENGINE_STATUS & STATUS_RESET) == 0u) {
        return false;
    }
    ENGINE_STATUS = STATUS_RESET;
    BUFFER_STATUS = ALL_PIPES;
    PIPE_BUFFER(USB_CONTROL_IN) = 0u;
    PIPE_BUFFER(USB_CONTROL_OUT) = 0u;
    ADDRESS = 0u;
    return true;
}

uint32_t usb_controller_done_pipes(void) {
    const uint32_t done = BUFFER_STATUS;
    BUFFER_STATUS = done;
    return done;
}

/* What was left of an earlier request is over; what comes behind begins with a DATA1 in either direction (USB 2.0, 8.5.3). */
bool usb_controller_take_setup(uint8_t setup[USB_SETUP_BYTES]) {
    if ((ENGINE_STATUS & STATUS_SETUP) == 0u) {
        return false;
    }
    ENGINE_STATUS = STATUS_SETUP;
    const volatile uint8_t *from = (const volatile uint8_t *)(uintptr_t)BOARD_USB_MEMORY;
    for (uint32_t i = 0u; i < USB_SETUP_BYTES; ++i) {
        setup[i] = from[i];
    }
    PIPE_BUFFER(USB_CONTROL_IN) = 0u;
    PIPE_BUFFER(USB_CONTROL_OUT) = 0u;
    next_is_data_1[USB_CONTROL_IN] = true;
    next_is_data_1[USB_CONTROL_OUT] = true;
    return true;
}

void usb_controller_set_address(uint32_t address) {
    ADDRESS = address;
}

void usb_pipe_open(usb_pipe pipe, usb_transfer transfer) {
    PIPE_BUFFER(pipe) = 0u;
    next_is_data_1[pipe] = false;
    PIPE_CONTROL(pipe) =
        PIPE_ENABLE | PIPE_INTERRUPT_PER_BUFFER | (uint32_t)transfer << PIPE_TRANSFER_AT | buffer_at(pipe);
}

void usb_pipe_close(usb_pipe pipe) {
    PIPE_BUFFER(pipe) = 0u;
    PIPE_CONTROL(pipe) = 0u;
}

/* The controller runs at 48 MHz: what goes with AVAILABLE must stand there a cycle of it, four to five of the core's, before
 * (RP2040 Datasheet, 4.1.2.5.1). */
static void hand_over(usb_pipe pipe, uint32_t buffer) {
    const uint32_t whole = buffer | (next_is_data_1[pipe] ? BUFFER_DATA_1 : 0u);
    next_is_data_1[pipe] = !next_is_data_1[pipe];
    PIPE_BUFFER(pipe) = whole;
    __asm__ volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop" ::: "memory");
    PIPE_BUFFER(pipe) = whole | BUFFER_AVAILABLE;
}

void usb_pipe_send(usb_pipe pipe, uint32_t count) {
    hand_over(pipe, BUFFER_FULL | count);
}

void usb_pipe_receive(usb_pipe pipe) {
    hand_over(pipe, USB_PACKET_BYTES);
}

uint32_t usb_pipe_received(usb_pipe pipe) {
    const uint32_t count = PIPE_BUFFER(pipe) & BUFFER_LENGTH;
    return count < USB_PACKET_BYTES ? count : USB_PACKET_BYTES;
}

/* Until the next request, which clears STALL_ARM. */
void usb_control_stall(void) {
    STALL_ARM = STALL_ARM_CONTROL;
    PIPE_BUFFER(USB_CONTROL_IN) = BUFFER_STALL;
    PIPE_BUFFER(USB_CONTROL_OUT) = BUFFER_STALL;
}
