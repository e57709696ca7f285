/* 216 MHz from the internal oscillator (RM0385, 5.3: RCC; 4.4: PWR; 3.7: FLASH), and the caches. */
#include "../stm32/clock.h"

#include "../cortex_m/caches.h"
#include "../cortex_m/cycle_counter.h"
#include "../cortex_m/devices.h"
#include "../stm32/wait.h"
#include "board.h"

#define RCC_CR EDGERT_REGISTER(0x40023800u)
#define RCC_PLLCFGR EDGERT_REGISTER(0x40023804u)
#define RCC_CFGR EDGERT_REGISTER(0x40023808u)
#define RCC_APB1ENR EDGERT_REGISTER(0x40023840u)
#define PWR_CR1 EDGERT_REGISTER(0x40007000u)
#define PWR_CSR1 EDGERT_REGISTER(0x40007004u)
#define FLASH_ACR EDGERT_REGISTER(0x40023C00u)

#define CR_PLL_ON (1u << 24)
#define CR_PLL_READY (1u << 25)
/* 16 MHz / 16 * 432 / 2; the divider of USB 9. */
#define PLL_216_MHZ (16u | 432u << 6 | 0u << 16 | 9u << 24)
/* APB1 a quarter, APB2 a half of the core's clock. */
#define CFGR_PRESCALERS (5u << 10 | 4u << 13)
#define CFGR_SWITCH_PLL 2u
#define CFGR_STATUS (3u << 2)
#define CFGR_STATUS_PLL (2u << 2)
#define ACR_SEVEN_WAITS_AND_ACCELERATOR (7u | 3u << 8)
#define APB1ENR_POWER (1u << 28)
#define PWR_SCALE_1 (3u << 14)
#define PWR_OVERDRIVE (1u << 16)
#define PWR_OVERDRIVE_SWITCH (1u << 17)

#define INTERNAL_HZ 16000000u
#define APB1_DIVIDER 4u

static uint32_t core_hz = INTERNAL_HZ;
static uint32_t uart_hz = INTERNAL_HZ;

/* 216 MHz are allowed in over-drive only (RM0385, 4.1.4: entering it). */
static bool prepare_power(void) {
    RCC_APB1ENR |= APB1ENR_POWER;
    PWR_CR1 |= PWR_SCALE_1;
    RCC_PLLCFGR = PLL_216_MHZ;
    RCC_CR |= CR_PLL_ON;
    PWR_CR1 |= PWR_OVERDRIVE;
    if (!stm32_wait_for(&PWR_CSR1, PWR_OVERDRIVE, PWR_OVERDRIVE)) {
        return false;
    }
    PWR_CR1 |= PWR_OVERDRIVE_SWITCH;
    return stm32_wait_for(&PWR_CSR1, PWR_OVERDRIVE_SWITCH, PWR_OVERDRIVE_SWITCH) &&
           stm32_wait_for(&RCC_CR, CR_PLL_READY, CR_PLL_READY);
}

void stm32_clock_start(void) {
    edgert_caches_start();
    if (!prepare_power()) {
        return;
    }
    FLASH_ACR = ACR_SEVEN_WAITS_AND_ACCELERATOR;
    RCC_CFGR = CFGR_PRESCALERS;
    RCC_CFGR = CFGR_PRESCALERS | CFGR_SWITCH_PLL;
    if (stm32_wait_for(&RCC_CFGR, CFGR_STATUS, CFGR_STATUS_PLL)) {
        core_hz = BOARD_CLOCK_HZ;
        uart_hz = BOARD_CLOCK_HZ / APB1_DIVIDER;
    }
}

uint32_t stm32_core_hz(void) {
    return core_hz;
}

uint32_t edgert_core_hz(void) {
    return core_hz;
}

uint32_t stm32_uart_hz(void) {
    return uart_hz;
}
