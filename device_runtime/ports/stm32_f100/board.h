/* STM32VLDISCOVERY (STM32F100, Cortex-M3): RM0041, 2.3 (memory map), 6.3 (RCC), 8.1 (interrupts); USART1 on PA9, PA10. */
#ifndef BOARD_H
#define BOARD_H

#define BOARD_CLOCK_HZ 24000000u
#define BOARD_BAUD 115200u
#define BOARD_UART 0x40013800u
#define BOARD_UART_INTERRUPT 37u

#endif
