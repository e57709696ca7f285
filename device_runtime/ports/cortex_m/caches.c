/* Armv7-M Architecture Reference Manual, B2.2.7 (maintenance by set and way) and B3.2 (CCSIDR, CSSELR, CCR). */
#include "caches.h"

#include "devices.h"

#define CCR EDGERT_REGISTER(0xE000ED14u)
#define CCSIDR EDGERT_REGISTER(0xE000ED80u)
#define CSSELR EDGERT_REGISTER(0xE000ED84u)
#define ICIALLU EDGERT_REGISTER(0xE000EF50u)
#define DCISW EDGERT_REGISTER(0xE000EF60u)
#define DCCSW EDGERT_REGISTER(0xE000EF6Cu)

#define CCR_DATA (1u << 16)
#define CCR_INSTRUCTIONS (1u << 17)
#define SELECT_DATA 0u
/* A Cortex-M7's data cache has lines of 32 bytes and 4 ways (Technical Reference Manual, 5.1). */
#define SET_SHIFT 5u
#define WAY_SHIFT 30u

static void barrier(void) {
    __asm__ volatile("dsb\n isb" ::: "memory");
}

/* Write every set and way of the data cache into a register that does something to that line. */
static void for_all_lines(volatile uint32_t *operation) {
    CSSELR = SELECT_DATA;
    barrier();
    const uint32_t size = CCSIDR;
    const uint32_t last_set = (size >> 13) & 0x7FFFu;
    const uint32_t last_way = (size >> 3) & 0x3FFu;
    for (uint32_t set = 0u; set <= last_set; ++set) {
        for (uint32_t way = 0u; way <= last_way; ++way) {
            *operation = set << SET_SHIFT | way << WAY_SHIFT;
        }
    }
    barrier();
}

void edgert_caches_start(void) {
    barrier();
    ICIALLU = 0u;
    for_all_lines(&DCISW);
    CCR |= CCR_INSTRUCTIONS | CCR_DATA;
    barrier();
}

void edgert_caches_clean(void) {
    barrier();
    for_all_lines(&DCCSW);
}
