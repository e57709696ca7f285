/* 120 MHz from the multi-speed oscillator (RM0432, 6.4: RCC; 5.4: PWR; 3.7: FLASH). */
#include "../stm32/clock.h"

#include "../cortex_m/cycle_counter.h"
#include "../cortex_m/devices.h"
#include "../stm32/wait.h"
#include "board.h"

#define RCC_CR EDGERT_REGISTER(0x40021000u)
#define RCC_CFGR EDGERT_REGISTER(0x40021008u)
#define RCC_PLLCFGR EDGERT_REGISTER(0x4002100Cu)
#define RCC_APB1ENR1 EDGERT_REGISTER(0x40021058u)
#define PWR_CR2 EDGERT_REGISTER(0x40007004u)
#define PWR_CR5 EDGERT_REGISTER(0x40007080u)
#define FLASH_ACR EDGERT_REGISTER(0x40022000u)

#define CR_PLL_ON (1u << 24)
#define CR_PLL_READY (1u << 25)
/* The source is MSI; 4 MHz / 1 * 60 / 2, and the output to the core is on. */
#define PLL_120_MHZ (1u | 60u << 8 | 1u << 24)
#define CFGR_HALF (8u << 4)
#define CFGR_SWITCH_PLL 3u
#define CFGR_STATUS (3u << 2)
#define CFGR_STATUS_PLL (3u << 2)
#define ACR_LATENCY 0xFu
#define ACR_FIVE_WAITS 5u
#define ACR_PREFETCH (1u << 8)
#define APB1ENR1_POWER (1u << 28)
/* PG2 to PG15 have a supply of their own, which must be said to be there (RM0432, 5.1.3). */
#define PWR_PORT_G_SUPPLY (1u << 9)
#define PWR_NORMAL_RANGE (1u << 8)

#define INTERNAL_HZ 4000000u

static uint32_t core_hz = INTERNAL_HZ;

/* Past 80 MHz the core is first run at half the clock, for a microsecond (RM0432, 5.1.8). */
static void wait_a_microsecond(void) {
    for (volatile uint32_t turns = 0u; turns < BOARD_CLOCK_HZ / 1000000u; ++turns) {
    }
}

void stm32_clock_start(void) {
    RCC_APB1ENR1 |= APB1ENR1_POWER;
    (void)RCC_APB1ENR1;
    PWR_CR2 |= PWR_PORT_G_SUPPLY;
    PWR_CR5 &= ~PWR_NORMAL_RANGE;
    RCC_PLLCFGR = PLL_120_MHZ;
    RCC_CR |= CR_PLL_ON;
    FLASH_ACR = (FLASH_ACR & ~ACR_LATENCY) | ACR_FIVE_WAITS | ACR_PREFETCH;
    if (!stm32_wait_for(&FLASH_ACR, ACR_LATENCY, ACR_FIVE_WAITS) ||
        !stm32_wait_for(&RCC_CR, CR_PLL_READY, CR_PLL_READY)) {
        return;
    }
    RCC_CFGR = CFGR_HALF;
    RCC_CFGR = CFGR_HALF | CFGR_SWITCH_PLL;
    if (stm32_wait_for(&RCC_CFGR, CFGR_STATUS, CFGR_STATUS_PLL)) {
        wait_a_microsecond();
        RCC_CFGR = CFGR_SWITCH_PLL;
        core_hz = BOARD_CLOCK_HZ;
    }
}

uint32_t stm32_core_hz(void) {
    return core_hz;
}

uint32_t edgert_core_hz(void) {
    return core_hz;
}

/* APB1 is not divided. */
uint32_t stm32_uart_hz(void) {
    return core_hz;
}
