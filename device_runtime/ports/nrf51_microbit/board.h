/* BBC micro:bit (nRF51822, Cortex-M0): nRF51 Series Reference Manual 3.0, memory map; pins as on the board. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 16000000u
#define BOARD_TIMER 0x40008000u
#define BOARD_UART 0x40002000u
#define BOARD_UART_INTERRUPT 2u
#define BOARD_UART_SEND_PIN 24u
#define BOARD_UART_RECEIVE_PIN 25u

#endif
