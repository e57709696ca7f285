/* Raspberry Pi Pico (RP2040, two Cortex-M0+): RP2040 Datasheet, 2.2 (address map), 2.3.2 (interrupts), 2.19.2 (functions of the
 * pins); UART 0 on GP0, GP1; USB (4.1). */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 125000000u
#define BOARD_BAUD 115200u
#define BOARD_UART 0x40034000u
#define BOARD_UART_INTERRUPT 20u
#define BOARD_USB_MEMORY 0x50100000u
#define BOARD_USB 0x50110000u
#define BOARD_USB_INTERRUPT 5u

/* What the host sees; docs/decisions.md says why these numbers. */
#define BOARD_USB_VENDOR 0x2E8Au
#define BOARD_USB_PRODUCT 0x000Au
#define BOARD_NAME "Raspberry Pi Pico"

#endif
