/* Arm MPS2 with FPGA image AN386 (Cortex-M4): application note DAI 0386, memory map. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 25000000u
#define BOARD_TIMER 0x40000000u
#define BOARD_UART 0x40004000u
#define BOARD_UART_INTERRUPT 0u
#define BOARD_WATCHDOG 0x40008000u
#define BOARD_WATCHDOG_HZ 25000000u

#endif
