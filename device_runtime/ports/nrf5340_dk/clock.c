/* 128 MHz (Product Specification 1.3, 4.3: CLOCK, HFCLKCTRL; after reset it is half of that) and the cache (7.9: CACHE). */
#include "../cortex_m/cycle_counter.h"
#include "../cortex_m/devices.h"
#include "../nrf/crystal.h"
#include "../nrf/uarte.h"
#include "board.h"

#define CLOCK 0x50005000u
#define HFCLK_SOURCE EDGERT_REGISTER(CLOCK + 0x514u)
#define HFCLK_CONTROL EDGERT_REGISTER(CLOCK + 0x558u)
#define CACHE_ENABLE EDGERT_REGISTER(0x50001500u)

#define SOURCE_CRYSTAL 1u
#define NOT_DIVIDED 0u
#define ENABLE 1u

void nrf_clock_start(void) {
    HFCLK_SOURCE = SOURCE_CRYSTAL;
    nrf_crystal_start(CLOCK);
    HFCLK_CONTROL = NOT_DIVIDED;
    CACHE_ENABLE = ENABLE;
}

uint32_t edgert_core_hz(void) {
    return BOARD_CLOCK_HZ;
}
