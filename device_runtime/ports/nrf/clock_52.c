/* The nRF52 runs at 64 MHz from reset (Product Specification 1.7, 5.4: CLOCK). Its flash has a cache (4.3.6: NVMC). */
#include "../cortex_m/cycle_counter.h"
#include "../cortex_m/devices.h"
#include "board.h"
#include "crystal.h"
#include "uarte.h"

#define CLOCK 0x40000000u
#define ICACHE_CONFIGURATION EDGERT_REGISTER(0x4001E540u)
#define ICACHE_ENABLE 1u

void nrf_clock_start(void) {
    nrf_crystal_start(CLOCK);
    ICACHE_CONFIGURATION = ICACHE_ENABLE;
}

uint32_t edgert_core_hz(void) {
    return BOARD_CLOCK_HZ;
}
