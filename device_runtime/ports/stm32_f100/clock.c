/* 24 MHz from the internal oscillator (RM0041, 6.3: RCC). The flash of this line needs no wait states. */
#include "../stm32/clock.h"

#include "../cortex_m/cycle_counter.h"
#include "../cortex_m/devices.h"
#include "../stm32/wait.h"
#include "board.h"

#define RCC_CR EDGERT_REGISTER(0x40021000u)
#define RCC_CFGR EDGERT_REGISTER(0x40021004u)

#define CR_PLL_ON (1u << 24)
#define CR_PLL_READY (1u << 25)
/* Half of 8 MHz, times 6. */
#define CFGR_PLL_24_MHZ (4u << 18)
#define CFGR_SWITCH_PLL 2u
#define CFGR_STATUS (3u << 2)
#define CFGR_STATUS_PLL (2u << 2)

#define INTERNAL_HZ 8000000u

static uint32_t core_hz = INTERNAL_HZ;

void stm32_clock_start(void) {
    RCC_CFGR = CFGR_PLL_24_MHZ;
    RCC_CR |= CR_PLL_ON;
    if (!stm32_wait_for(&RCC_CR, CR_PLL_READY, CR_PLL_READY)) {
        return;
    }
    RCC_CFGR = CFGR_PLL_24_MHZ | CFGR_SWITCH_PLL;
    if (stm32_wait_for(&RCC_CFGR, CFGR_STATUS, CFGR_STATUS_PLL)) {
        core_hz = BOARD_CLOCK_HZ;
    }
}

uint32_t stm32_core_hz(void) {
    return core_hz;
}

/* APB2 is not divided. */
uint32_t stm32_uart_hz(void) {
    return core_hz;
}

uint32_t edgert_core_hz(void) {
    return core_hz;
}
