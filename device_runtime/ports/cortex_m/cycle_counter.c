/* The core's own clock: the cycle counter of the Data Watchpoint and Trace unit (Armv7-M Architecture Reference Manual,
 * C1.8; Armv8-M, D1.2) where it counts, else SysTick (B3.3), as under QEMU, which has no such counter. */
#include "cycle_counter.h"

#include "devices.h"
#include "port.h"

#define DEMCR EDGERT_REGISTER(0xE000EDFCu)
#define DEMCR_TRACE_ENABLE (1u << 24)
#define DWT_CONTROL EDGERT_REGISTER(0xE0001000u)
#define DWT_CONTROL_COUNT 1u
#define DWT_CYCLES EDGERT_REGISTER(0xE0001004u)
/* The Cortex-M7 locks the unit. */
#define DWT_LOCK EDGERT_REGISTER(0xE0001FB0u)
#define UNLOCK 0xC5ACCE55u

#define SYSTICK_CONTROL EDGERT_REGISTER(0xE000E010u)
#define SYSTICK_RELOAD EDGERT_REGISTER(0xE000E014u)
#define SYSTICK_VALUE EDGERT_REGISTER(0xE000E018u)
#define SYSTICK_CORE_CLOCK 5u
#define SYSTICK_BITS 24u
#define SYSTICK_LONGEST ((1u << SYSTICK_BITS) - 1u)

/* The 64-bit clock: what the counter showed last, and the whole turns before it. */
static uint32_t last;
static uint32_t turns;
static bool counts_cycles;

static bool cycles_are_counted(void) {
    DEMCR |= DEMCR_TRACE_ENABLE;
    DWT_LOCK = UNLOCK;
    DWT_CYCLES = 0u;
    DWT_CONTROL |= DWT_CONTROL_COUNT;
    __asm__ volatile("dsb\n isb\n nop\n nop" ::: "memory");
    return DWT_CYCLES != 0u;
}

void edgert_clock_start(void) {
    counts_cycles = cycles_are_counted();
    if (!counts_cycles) {
        SYSTICK_RELOAD = SYSTICK_LONGEST;
        SYSTICK_VALUE = 0u;
        SYSTICK_CONTROL = SYSTICK_CORE_CLOCK;
    }
}

/* A turn is seen when the clock is read at least once in each: 2^32 clocks, 20 s at 216 MHz; of SysTick, 2^24. */
uint64_t edgert_port_ticks(void) {
    const uint32_t now = counts_cycles ? DWT_CYCLES : SYSTICK_LONGEST - SYSTICK_VALUE;
    if (now < last) {
        ++turns;
    }
    last = now;
    return ((uint64_t)turns << (counts_cycles ? 32u : SYSTICK_BITS)) | now;
}

uint64_t edgert_port_ticks_per_second(void) {
    return edgert_core_hz();
}
