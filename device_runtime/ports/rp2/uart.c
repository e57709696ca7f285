/* The UART of the RP2040 and RP2350 (RP2040 Datasheet, 4.2; RP2350, 12.1): Arm's PL011 with a FIFO of 32 bytes, 8 data bits,
 * no parity. */
#include "uart.h"

#include "../cortex_m/devices.h"
#include "board.h"

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

/* The divider has 6 bits behind the point. Whatever is written to the line register makes it take effect. */
static void set_baud_rate(void) {
    const uint32_t divider = (8u * (BOARD_CLOCK_HZ / BOARD_BAUD) + 1u) / 2u;
    BAUD_WHOLE = divider >> 6;
    BAUD_PART = divider & 63u;
    LINE = LINE_8_BITS_AND_FIFO;
}

void uart_start(void) {
    set_baud_rate();
    LEVELS = LEVELS_LOWEST;
    INTERRUPT_MASK = INTERRUPT_RECEIVED;
    CONTROL = CONTROL_ENABLE;
}

bool uart_take(uint8_t *byte) {
    if ((FLAGS & FLAGS_RECEIVE_EMPTY) != 0u) {
        return false;
    }
    *byte = (uint8_t)DATA;
    return true;
}

void uart_clear_interrupt(void) {
    INTERRUPT_CLEAR = INTERRUPT_RECEIVED;
}

void uart_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        while ((FLAGS & FLAGS_SEND_FULL) != 0u) {
        }
        DATA = bytes[i];
    }
}
