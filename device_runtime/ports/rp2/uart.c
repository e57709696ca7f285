/* The UART of the RP2040 and RP2350 (RP2040 Datasheet, 4.2; RP2350, 12.1): Arm's PL011 with a FIFO of 32 bytes, 8 data bits,
 * no parity. */
#include "uart.h"

#include "../cortex_m/devices.h"
#include "board.h"
#include "port.h"

#define DATA EDGERT_REGISTER(BOARD_UART)
#define FLAGS EDGERT_REGISTER(BOARD_UART + 0x018u)
#define BAUD_WHOLE EDGERT_REGISTER(BOARD_UART + 0x024u)
#define BAUD_PART EDGERT_REGISTER(BOARD_UART + 0x028u)
#define LINE EDGERT_REGISTER(BOARD_UART + 0x02Cu)
#define CONTROL EDGERT_REGISTER(BOARD_UART + 0x030u)
#define LEVELS EDGERT_REGISTER(BOARD_UART + 0x034u)
#define INTERRUPT_MASK EDGERT_REGISTER(BOARD_UART + 0x038u)
#define INTERRUPT_CLEAR EDGERT_REGISTER(BOARD_UART + 0x044u)

#define FLAGS_RECEIVE_EMPTY (1u << 4)
#define FLAGS_SEND_FULL (1u << 5)
#define LINE_8_BITS_AND_FIFO (3u << 5 | 1u << 4)
#define CONTROL_ENABLE (1u << 9 | 1u << 8 | 1u)
/* A byte that stands in the FIFO for 32 bits of time, or four of them. */
#define INTERRUPT_RECEIVED (1u << 6 | 1u << 4)
#define LEVELS_LOWEST 0u

/* Nested Vectored Interrupt Controller: one bit an interrupt. */
#define NVIC_ENABLE EDGERT_REGISTER(0xE000E100u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_CLEAR_PENDING EDGERT_REGISTER(0xE000E280u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_BIT (1u << (BOARD_UART_INTERRUPT % 32u))

/* The divider has 6 bits behind the point. Whatever is written to the line register makes it take effect. */
static void set_baud_rate(void) {
    const uint32_t divider = (8u * (BOARD_CLOCK_HZ / BOARD_BAUD) + 1u) / 2u;
    BAUD_WHOLE = divider >> 6;
    BAUD_PART = divider & 63u;
    LINE = LINE_8_BITS_AND_FIFO;
}

/* The interrupt only ends a wait: with PRIMASK set no handler runs, and nothing disturbs a timed inference. */
void edgert_uart_start(void) {
    __asm__ volatile("cpsid i" ::: "memory");
    rp2_board_start();
    set_baud_rate();
    LEVELS = LEVELS_LOWEST;
    INTERRUPT_MASK = INTERRUPT_RECEIVED;
    CONTROL = CONTROL_ENABLE;
    NVIC_ENABLE = NVIC_BIT;
}

/* A byte that comes between the check and the wait pends the interrupt, which ends the wait at once. */
bool edgert_port_read(uint8_t *byte) {
    while ((FLAGS & FLAGS_RECEIVE_EMPTY) != 0u) {
        __asm__ volatile("wfi" ::: "memory");
        INTERRUPT_CLEAR = INTERRUPT_RECEIVED;
        NVIC_CLEAR_PENDING = NVIC_BIT;
    }
    *byte = (uint8_t)DATA;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        while ((FLAGS & FLAGS_SEND_FULL) != 0u) {
        }
        DATA = bytes[i];
    }
}
