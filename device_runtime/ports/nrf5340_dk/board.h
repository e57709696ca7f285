/* nRF5340 DK (application core, Cortex-M33, secure state): Product Specification 1.3, 7.1 (memory map); the DK's guide: the probe's
 * virtual COM port 0 is on P0.20, P0.22. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 128000000u
#define BOARD_UART 0x50008000u
#define BOARD_UART_INTERRUPT 8u
#define BOARD_UART_SEND_PIN 20u
#define BOARD_UART_RECEIVE_PIN 22u

#endif
