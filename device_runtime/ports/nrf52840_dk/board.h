/* nRF52840 DK (nRF52840, Cortex-M4F): Product Specification 1.7, 4.2 (memory map); the DK's guide: the probe's virtual COM port
 * is on P0.06, P0.08. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 64000000u
#define BOARD_UART 0x40002000u
#define BOARD_UART_INTERRUPT 2u
#define BOARD_UART_SEND_PIN 6u
#define BOARD_UART_RECEIVE_PIN 8u

#endif
