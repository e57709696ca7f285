/* What a board adds to uart.c. */
#ifndef EDGERT_RP2_UART_H
#define EDGERT_RP2_UART_H

/* Bring the core and its peripherals to their clocks, and the pins to the UART. Called before the UART is started. */
void rp2_board_start(void);

#endif
