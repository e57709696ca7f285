/* Arm MPS2+ with FPGA image AN505 (Cortex-M33): application note DAI 0505, memory map. Addresses are the secure ones. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 20000000u
#define BOARD_TIMER 0x50000000u
#define BOARD_UART 0x50200000u
#define BOARD_UART_INTERRUPT 32u
#define BOARD_WATCHDOG 0x5002E000u
#define BOARD_WATCHDOG_HZ 32768u

#endif
