/* 160 MHz from the multi-speed oscillator (RM0456, 11.8: RCC; 10.10: PWR; 7.9: FLASH; 8.7: ICACHE). */
#include "../stm32/clock.h"

#include "../cortex_m/cycle_counter.h"
#include "../cortex_m/devices.h"
#include "../stm32/wait.h"
#include "board.h"

#define RCC_CR EDGERT_REGISTER(0x46020C00u)
#define RCC_CFGR1 EDGERT_REGISTER(0x46020C1Cu)
#define RCC_PLL1CFGR EDGERT_REGISTER(0x46020C28u)
#define RCC_PLL1DIVR EDGERT_REGISTER(0x46020C34u)
#define RCC_AHB3ENR EDGERT_REGISTER(0x46020C94u)
#define PWR_VOSR EDGERT_REGISTER(0x4602080Cu)
#define FLASH_ACR EDGERT_REGISTER(0x40022000u)
#define ICACHE_CR EDGERT_REGISTER(0x40030400u)

#define CR_PLL_ON (1u << 24)
#define CR_PLL_READY (1u << 25)
/* The source is MSIS, 4 MHz, not divided for the booster either; the output to the core is on. */
#define PLL_SOURCE_AND_OUTPUT (1u | 1u << 18)
/* Times 80, by 2; the fields hold one less. */
#define PLL_160_MHZ (79u | 1u << 9 | 1u << 16 | 1u << 24)
#define CFGR1_SWITCH_PLL 3u
#define CFGR1_STATUS (3u << 2)
#define CFGR1_STATUS_PLL (3u << 2)
#define AHB3ENR_POWER (1u << 2)
#define VOSR_BOOST_READY (1u << 14)
#define VOSR_READY (1u << 15)
#define VOSR_RANGE_1 (3u << 16)
#define VOSR_BOOST (1u << 18)
#define ACR_LATENCY 0xFu
#define ACR_FOUR_WAITS 4u
#define ACR_PREFETCH (1u << 8)
#define ICACHE_ENABLE 1u

#define INTERNAL_HZ 4000000u

static uint32_t core_hz = INTERNAL_HZ;

/* The booster of the supply runs from the PLL's source (RM0456, 10.5.4). */
static bool prepare_power(void) {
    RCC_AHB3ENR |= AHB3ENR_POWER;
    (void)RCC_AHB3ENR;
    PWR_VOSR |= VOSR_RANGE_1;
    if (!stm32_wait_for(&PWR_VOSR, VOSR_READY, VOSR_READY)) {
        return false;
    }
    RCC_PLL1CFGR = PLL_SOURCE_AND_OUTPUT;
    RCC_PLL1DIVR = PLL_160_MHZ;
    PWR_VOSR |= VOSR_BOOST;
    return stm32_wait_for(&PWR_VOSR, VOSR_BOOST_READY, VOSR_BOOST_READY);
}

void stm32_clock_start(void) {
    ICACHE_CR |= ICACHE_ENABLE;
    if (!prepare_power()) {
        return;
    }
    RCC_CR |= CR_PLL_ON;
    FLASH_ACR = ACR_FOUR_WAITS | ACR_PREFETCH;
    if (!stm32_wait_for(&FLASH_ACR, ACR_LATENCY, ACR_FOUR_WAITS) ||
        !stm32_wait_for(&RCC_CR, CR_PLL_READY, CR_PLL_READY)) {
        return;
    }
    RCC_CFGR1 = CFGR1_SWITCH_PLL;
    if (stm32_wait_for(&RCC_CFGR1, CFGR1_STATUS, CFGR1_STATUS_PLL)) {
        core_hz = BOARD_CLOCK_HZ;
    }
}

uint32_t stm32_core_hz(void) {
    return core_hz;
}

uint32_t edgert_core_hz(void) {
    return core_hz;
}

/* APB2 is not divided. */
uint32_t stm32_uart_hz(void) {
    return core_hz;
}
