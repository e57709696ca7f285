/* 64 MHz of the internal oscillator, as after reset (RM0455, 8.5.4: HSI). The chip could run at 280 MHz, but that takes
 * another supply voltage, whose setting can be written once after power-on and must be the board's own (6.4.1): a wrong
 * one is mended only by a power cycle with BOOT0 held. No board was at hand to try it. */
#include "../stm32/clock.h"

#include "../cortex_m/caches.h"
#include "../cortex_m/cycle_counter.h"
#include "board.h"

void stm32_clock_start(void) {
    edgert_caches_start();
}

uint32_t stm32_core_hz(void) {
    return BOARD_CLOCK_HZ;
}

uint32_t edgert_core_hz(void) {
    return BOARD_CLOCK_HZ;
}

/* No bus is divided after reset. */
uint32_t stm32_uart_hz(void) {
    return BOARD_CLOCK_HZ;
}
