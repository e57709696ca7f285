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
#define SYSTICK_TURNED (1u << 16)
#define SYSTICK_TURN (1u << 24)
#define SYSTICK_LONGEST (SYSTICK_TURN - 1u)

/* The 64-bit clock: what the cycle counter showed last, and the whole turns before it. */
static uint32_t last;
static uint32_t turns;

/* What SysTick has counted until it was read last. */
static uint64_t passed;
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

/* A turn, 2^32 clocks or 20 s at 216 MHz, is seen when the clock is read at least once in each. */
static uint64_t cycles(void) {
    const uint32_t now = DWT_CYCLES;
    if (now < last) {
        ++turns;
    }
    last = now;
    return (uint64_t)turns << 32 | now;
}

/* SysTick counts down and notes that it turned, but not how often. It begins anew at every read, so that two turns, 2^25
 * clocks, may pass between two of them. It stays at 0 until its first clock. When it turns amid a read, all is read
 * again. */
static uint64_t systick(void) {
    uint32_t before;
    uint32_t now;
    bool turned = false;
    do {
        before = SYSTICK_VALUE;
        turned = turned || (SYSTICK_CONTROL & SYSTICK_TURNED) != 0u;
        now = SYSTICK_VALUE;
    } while (now > before);
    SYSTICK_VALUE = 0u;
    passed += (turned ? SYSTICK_TURN : 0u) + (now != 0u ? SYSTICK_LONGEST - now : 0u);
    return passed;
}

uint64_t edgert_port_ticks(void) {
    return counts_cycles ? cycles() : systick();
}

uint64_t edgert_port_ticks_per_second(void) {
    return edgert_core_hz();
}
