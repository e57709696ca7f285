/* Waiting for a bit of a register, and giving up. */
#ifndef EDGERT_STM32_WAIT_H
#define EDGERT_STM32_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Turns of the loop below: more than 10 ms on the slowest core, longer than any oscillator here takes to start. */
#define STM32_PATIENCE 200000u

/* True once `address` holds `value` under `mask`; false when that takes too long. */
static inline bool stm32_wait_for(volatile const uint32_t *address, uint32_t mask, uint32_t value) {
    for (uint32_t turns = 0u; turns < STM32_PATIENCE; ++turns) {
        if ((*address & mask) == value) {
            return true;
        }
    }
    return false;
}

#endif
