/* UART 0 of the RP2040 and RP2350, without waiting for what comes. */
#ifndef EDGERT_RP2_UART_H
#define EDGERT_RP2_UART_H

#include <stdbool.h>
#include <stdint.h>

/* What the board brings: the core and its peripherals at their clocks, and the pins of the UART. */
void rp2_board_start(void);

/* From now on a byte that comes pends the UART's interrupt, which only ends a wait: no handler ever runs, and nothing
 * disturbs a timed inference. */
void uart_start(void);

/* The next byte that came, if there is one. */
bool uart_take(uint8_t *byte);

/* Let the next byte pend the interrupt. What came before this is there for uart_take. */
void uart_clear_interrupt(void);

void uart_write(const uint8_t *bytes, uint32_t count);

#endif
