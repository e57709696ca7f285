/* Arduino Nano 33 BLE (nRF52840, Cortex-M4F): Product Specification 1.7, 4.2 (memory map); the board's pins D1, D0 are P1.03,
 * P1.10. Bit 5 of a pin is its port. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 64000000u
#define BOARD_UART 0x40002000u
#define BOARD_UART_INTERRUPT 2u
#define BOARD_UART_SEND_PIN (32u + 3u)
#define BOARD_UART_RECEIVE_PIN (32u + 10u)

#endif
