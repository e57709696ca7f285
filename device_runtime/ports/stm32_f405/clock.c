/* 168 MHz from the internal oscillator (RM0090, 7.3: RCC; 3.9: FLASH; 5.4: PWR). */
#include "../stm32/clock.h"

#include "../cortex_m/devices.h"
#include "../stm32/wait.h"
#include "board.h"

#define RCC_CR EDGERT_REGISTER(0x40023800u)
#define RCC_PLLCFGR EDGERT_REGISTER(0x40023804u)
#define RCC_CFGR EDGERT_REGISTER(0x40023808u)
#define RCC_APB1ENR EDGERT_REGISTER(0x40023840u)
#define PWR_CR EDGERT_REGISTER(0x40007000u)
#define FLASH_ACR EDGERT_REGISTER(0x40023C00u)

#define CR_PLL_ON (1u << 24)
#define CR_PLL_READY (1u << 25)
/* 16 MHz / 16 * 336 / 2; the divider of USB 7. */
#define PLL_168_MHZ (16u | 336u << 6 | 0u << 16 | 7u << 24)
/* APB1 a quarter, APB2 a half of the core's clock. */
#define CFGR_PRESCALERS (5u << 10 | 4u << 13)
#define CFGR_SWITCH_PLL 2u
#define CFGR_STATUS (3u << 2)
#define CFGR_STATUS_PLL (2u << 2)
#define ACR_FIVE_WAITS_AND_CACHES (5u | 7u << 8)
#define APB1ENR_POWER (1u << 28)
#define PWR_SCALE_1 (1u << 14)

#define INTERNAL_HZ 16000000u
#define APB2_DIVIDER 2u

static uint32_t core_hz = INTERNAL_HZ;
static uint32_t uart_hz = INTERNAL_HZ;

void stm32_clock_start(void) {
    RCC_APB1ENR |= APB1ENR_POWER;
    PWR_CR |= PWR_SCALE_1;
    RCC_PLLCFGR = PLL_168_MHZ;
    RCC_CR |= CR_PLL_ON;
    if (!stm32_wait_for(&RCC_CR, CR_PLL_READY, CR_PLL_READY)) {
        return;
    }
    FLASH_ACR = ACR_FIVE_WAITS_AND_CACHES;
    RCC_CFGR = CFGR_PRESCALERS;
    RCC_CFGR = CFGR_PRESCALERS | CFGR_SWITCH_PLL;
    if (stm32_wait_for(&RCC_CFGR, CFGR_STATUS, CFGR_STATUS_PLL)) {
        core_hz = BOARD_CLOCK_HZ;
        uart_hz = BOARD_CLOCK_HZ / APB2_DIVIDER;
    }
}

uint32_t stm32_core_hz(void) {
    return core_hz;
}

uint32_t stm32_uart_hz(void) {
    return uart_hz;
}
