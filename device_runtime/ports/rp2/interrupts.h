/* The Nested Vectored Interrupt Controller, one bit an interrupt: with PRIMASK set a pending interrupt ends a wait, and no
 * handler runs (Armv6-M Architecture Reference Manual, B1.5.18 and B3.4). */
#ifndef EDGERT_RP2_INTERRUPTS_H
#define EDGERT_RP2_INTERRUPTS_H

#include "../cortex_m/devices.h"

static inline void interrupts_mask(void) {
    __asm__ volatile("cpsid i" ::: "memory");
}

static inline void interrupt_enable(uint32_t number) {
    EDGERT_REGISTER(0xE000E100u + 4u * (number / 32u)) = 1u << (number % 32u);
}

static inline void interrupt_clear_pending(uint32_t number) {
    EDGERT_REGISTER(0xE000E280u + 4u * (number / 32u)) = 1u << (number % 32u);
}

static inline void wait_for_interrupt(void) {
    __asm__ volatile("wfi" ::: "memory");
}

#endif
