/* The crystal of nRF52 and nRF53 (nRF52840 Product Specification 1.7, 5.4: CLOCK; nRF5340 1.3, 4.3). The internal oscillator that
 * runs after reset is too inexact for a UART, and for times that are counted in its clocks. */
#ifndef EDGERT_NRF_CRYSTAL_H
#define EDGERT_NRF_CRYSTAL_H

#include "../cortex_m/devices.h"

/* Turns of the loop below: some 10 ms, longer than a crystal takes to start. */
#define NRF_CRYSTAL_PATIENCE 200000u

/* `clock` is the base address of CLOCK. Where no crystal starts, the internal oscillator stays. */
static inline void nrf_crystal_start(uint32_t clock) {
    volatile uint32_t *const start = &EDGERT_REGISTER(clock + 0x000u);
    volatile uint32_t *const started = &EDGERT_REGISTER(clock + 0x100u);
    *started = 0u;
    *start = 1u;
    for (uint32_t turns = 0u; turns < NRF_CRYSTAL_PATIENCE && *started == 0u; ++turns) {
    }
}

#endif
