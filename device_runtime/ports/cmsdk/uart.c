/* The UART of Arm's Cortex-M System Design Kit (DDI 0479, 4.3). */
#include "../cortex_m/devices.h"
#include "board.h"
#include "port.h"

#define DATA EDGERT_REGISTER(BOARD_UART)
#define STATE EDGERT_REGISTER(BOARD_UART + 0x04u)
#define CONTROL EDGERT_REGISTER(BOARD_UART + 0x08u)
#define INTERRUPT_CLEAR EDGERT_REGISTER(BOARD_UART + 0x0Cu)
#define BAUD_DIVIDER EDGERT_REGISTER(BOARD_UART + 0x10u)

#define STATE_SEND_FULL 1u
#define STATE_RECEIVE_FULL 2u
#define CONTROL_SEND_AND_RECEIVE 3u
#define CONTROL_RECEIVE_INTERRUPT 8u
#define INTERRUPT_RECEIVE 2u

/* Nested Vectored Interrupt Controller: one bit an interrupt. */
#define NVIC_ENABLE EDGERT_REGISTER(0xE000E100u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_CLEAR_PENDING EDGERT_REGISTER(0xE000E280u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_BIT (1u << (BOARD_UART_INTERRUPT % 32u))

/* The smallest divider that the UART takes: an emulated line has no baud rate. */
#define FASTEST 16u

/* The interrupt only ends a wait: with PRIMASK set no handler runs, and nothing disturbs a timed inference.
 * Reading the data register drops what came before the start; QEMU offers the next byte only after such a read. */
void edgert_uart_start(void) {
    __asm__ volatile("cpsid i" ::: "memory");
    BAUD_DIVIDER = FASTEST;
    CONTROL = CONTROL_SEND_AND_RECEIVE | CONTROL_RECEIVE_INTERRUPT;
    NVIC_ENABLE = NVIC_BIT;
    (void)DATA;
}

/* A byte that comes between the check and the wait pends the interrupt, which ends the wait at once. */
bool edgert_port_read(uint8_t *byte) {
    while ((STATE & STATE_RECEIVE_FULL) == 0u) {
        __asm__ volatile("wfi" ::: "memory");
    }
    INTERRUPT_CLEAR = INTERRUPT_RECEIVE;
    NVIC_CLEAR_PENDING = NVIC_BIT;
    *byte = (uint8_t)DATA;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        while ((STATE & STATE_SEND_FULL) != 0u) {
        }
        DATA = bytes[i];
    }
}
