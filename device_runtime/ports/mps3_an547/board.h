/* Arm MPS3 with FPGA image AN547 (Cortex-M55): application note DAI 0547, memory map. Addresses are the secure ones. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 32000000u
#define BOARD_COUNTER 0x58100000u
#define BOARD_TIMER 0x58000000u
#define BOARD_UART 0x59303000u
#define BOARD_UART_INTERRUPT 33u
#define BOARD_WATCHDOG 0x5802E000u
#define BOARD_WATCHDOG_HZ 32768u

#endif
