/* Raspberry Pi Pico 2 (RP2350, two Cortex-M33): RP2350 Datasheet, 2.2 (address map), 3.2 (interrupts), 9.4 (functions of the pins);
 * UART 0 on GP0, GP1. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 150000000u
#define BOARD_BAUD 115200u
#define BOARD_UART 0x40070000u
#define BOARD_UART_INTERRUPT 33u

#endif
