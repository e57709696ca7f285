/* The UART of the nRF51 (Series Reference Manual 3.0, UART), 115200 baud, without flow control. */
#include "../cortex_m/devices.h"
#include "board.h"
#include "port.h"

#define START_RECEIVE EDGERT_REGISTER(BOARD_UART)
#define START_SEND EDGERT_REGISTER(BOARD_UART + 0x008u)
#define RECEIVED EDGERT_REGISTER(BOARD_UART + 0x108u)
#define SENT EDGERT_REGISTER(BOARD_UART + 0x11Cu)
#define INTERRUPT_SET EDGERT_REGISTER(BOARD_UART + 0x304u)
#define ENABLE EDGERT_REGISTER(BOARD_UART + 0x500u)
#define SEND_PIN EDGERT_REGISTER(BOARD_UART + 0x50Cu)
#define RECEIVE_PIN EDGERT_REGISTER(BOARD_UART + 0x514u)
#define RECEIVE_DATA EDGERT_REGISTER(BOARD_UART + 0x518u)
#define SEND_DATA EDGERT_REGISTER(BOARD_UART + 0x51Cu)
#define BAUD_RATE EDGERT_REGISTER(BOARD_UART + 0x524u)

#define ENABLE_UART 4u
#define INTERRUPT_RECEIVED (1u << 2)
#define BAUD_115200 0x01D7E000u

/* Nested Vectored Interrupt Controller: one bit an interrupt. */
#define NVIC_ENABLE EDGERT_REGISTER(0xE000E100u)
#define NVIC_CLEAR_PENDING EDGERT_REGISTER(0xE000E280u)
#define NVIC_BIT (1u << BOARD_UART_INTERRUPT)

/* The interrupt only ends a wait: with PRIMASK set no handler runs, and nothing disturbs a timed inference.
 * Pins and rate are set while the UART is off, as the manual wants it; the rest counts only once it is on. */
void edgert_uart_start(void) {
    __asm__ volatile("cpsid i" ::: "memory");
    SEND_PIN = BOARD_UART_SEND_PIN;
    RECEIVE_PIN = BOARD_UART_RECEIVE_PIN;
    BAUD_RATE = BAUD_115200;
    ENABLE = ENABLE_UART;
    RECEIVED = 0u;
    INTERRUPT_SET = INTERRUPT_RECEIVED;
    NVIC_ENABLE = NVIC_BIT;
    START_RECEIVE = 1u;
    START_SEND = 1u;
}

/* A byte that comes between the check and the wait pends the interrupt, which ends the wait at once. The event goes
 * before the byte is read: reading brings up the next byte, with an event of its own. */
bool edgert_port_read(uint8_t *byte) {
    while (RECEIVED == 0u) {
        __asm__ volatile("wfi" ::: "memory");
    }
    RECEIVED = 0u;
    NVIC_CLEAR_PENDING = NVIC_BIT;
    *byte = (uint8_t)RECEIVE_DATA;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        SENT = 0u;
        SEND_DATA = bytes[i];
        while (SENT == 0u) {
        }
    }
}
