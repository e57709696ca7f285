/* The UARTE of the nRF52 and nRF53 (nRF52840 Product Specification 1.7, 6.34; nRF5340 1.3, 7.40), which moves bytes by DMA: one at a time here. Its buffer takes
 * the bytes that come while the last one is worked on. 115200 baud, without flow control. */
#include "uarte.h"

#include "../cortex_m/devices.h"
#include "board.h"
#include "port.h"

#define START_RECEIVE EDGERT_REGISTER(BOARD_UART)
#define START_SEND EDGERT_REGISTER(BOARD_UART + 0x008u)
#define RECEIVED EDGERT_REGISTER(BOARD_UART + 0x110u)
#define SENT EDGERT_REGISTER(BOARD_UART + 0x120u)
#define INTERRUPT_SET EDGERT_REGISTER(BOARD_UART + 0x304u)
#define ENABLE EDGERT_REGISTER(BOARD_UART + 0x500u)
#define SEND_PIN EDGERT_REGISTER(BOARD_UART + 0x50Cu)
#define RECEIVE_PIN EDGERT_REGISTER(BOARD_UART + 0x514u)
#define BAUD_RATE EDGERT_REGISTER(BOARD_UART + 0x524u)
#define RECEIVE_POINTER EDGERT_REGISTER(BOARD_UART + 0x534u)
#define RECEIVE_COUNT EDGERT_REGISTER(BOARD_UART + 0x538u)
#define SEND_POINTER EDGERT_REGISTER(BOARD_UART + 0x544u)
#define SEND_COUNT EDGERT_REGISTER(BOARD_UART + 0x548u)

#define ENABLE_UARTE 8u
#define INTERRUPT_RECEIVED (1u << 4)
#define BAUD_115200 0x01D60000u
#define LONGEST_SEND 64u

/* Nested Vectored Interrupt Controller: one bit an interrupt. */
#define NVIC_ENABLE EDGERT_REGISTER(0xE000E100u)
#define NVIC_CLEAR_PENDING EDGERT_REGISTER(0xE000E280u)
#define NVIC_BIT (1u << BOARD_UART_INTERRUPT)

/* DMA reads and writes RAM only. */
static volatile uint8_t received_byte;
static uint8_t sending[LONGEST_SEND];

/* The interrupt only ends a wait: with PRIMASK set no handler runs, and nothing disturbs a timed inference. */
void edgert_uart_start(void) {
    __asm__ volatile("cpsid i" ::: "memory");
    nrf_clock_start();
    SEND_PIN = BOARD_UART_SEND_PIN;
    RECEIVE_PIN = BOARD_UART_RECEIVE_PIN;
    BAUD_RATE = BAUD_115200;
    ENABLE = ENABLE_UARTE;
    RECEIVE_POINTER = (uint32_t)(uintptr_t)&received_byte;
    RECEIVE_COUNT = 1u;
    RECEIVED = 0u;
    INTERRUPT_SET = INTERRUPT_RECEIVED;
    NVIC_ENABLE = NVIC_BIT;
    START_RECEIVE = 1u;
}

/* A byte that comes between the check and the wait pends the interrupt, which ends the wait at once. */
bool edgert_port_read(uint8_t *byte) {
    while (RECEIVED == 0u) {
        __asm__ volatile("wfi" ::: "memory");
        NVIC_CLEAR_PENDING = NVIC_BIT;
    }
    *byte = received_byte;
    RECEIVED = 0u;
    NVIC_CLEAR_PENDING = NVIC_BIT;
    START_RECEIVE = 1u;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t done = 0u; done < count;) {
        const uint32_t part = count - done < LONGEST_SEND ? count - done : LONGEST_SEND;
        for (uint32_t i = 0u; i < part; ++i) {
            sending[i] = bytes[done + i];
        }
        SENT = 0u;
        SEND_POINTER = (uint32_t)(uintptr_t)sending;
        SEND_COUNT = part;
        __asm__ volatile("dsb" ::: "memory");
        START_SEND = 1u;
        while (SENT == 0u) {
        }
        done += part;
    }
}
