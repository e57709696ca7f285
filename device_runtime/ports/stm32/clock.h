/* What a family's clock.c gives the other sources of an STM32 port. */
#ifndef EDGERT_STM32_CLOCK_H
#define EDGERT_STM32_CLOCK_H

#include <stdint.h>

/* Bring the core to its full clock; where the oscillator or the PLL does not come up in time (an emulator has none), stay
 * on the internal oscillator. Called once, before anything else of the board. */
void stm32_clock_start(void);

/* In Hz, after the start. */
uint32_t stm32_core_hz(void);
uint32_t stm32_uart_hz(void);

#endif
