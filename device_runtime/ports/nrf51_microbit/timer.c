/* TIMER0 of the nRF51 (Series Reference Manual 3.0, TIMER), counting up once a clock. */
#include "board.h"
#include "../cortex_m/devices.h"
#include "port.h"

#define START EDGERT_REGISTER(BOARD_TIMER)
#define STOP EDGERT_REGISTER(BOARD_TIMER + 0x004u)
#define CLEAR EDGERT_REGISTER(BOARD_TIMER + 0x00Cu)
#define CAPTURE EDGERT_REGISTER(BOARD_TIMER + 0x040u)
#define MODE EDGERT_REGISTER(BOARD_TIMER + 0x504u)
#define BITMODE EDGERT_REGISTER(BOARD_TIMER + 0x508u)
#define PRESCALER EDGERT_REGISTER(BOARD_TIMER + 0x510u)
#define CAPTURED EDGERT_REGISTER(BOARD_TIMER + 0x540u)

#define MODE_TIMER 0u
#define BITMODE_32 3u
#define EVERY_CLOCK 0u

/* The 64-bit clock: what the timer showed last, and the whole turns before it. */
static uint32_t last;
static uint32_t turns;

void edgert_clock_start(void) {
    STOP = 1u;
    MODE = MODE_TIMER;
    BITMODE = BITMODE_32;
    PRESCALER = EVERY_CLOCK;
    CLEAR = 1u;
    START = 1u;
}

/* One turn takes 268 s; a turn is seen when the clock is read at least once in each. */
uint64_t edgert_port_ticks(void) {
    CAPTURE = 1u;
    const uint32_t now = CAPTURED;
    if (now < last) {
        ++turns;
    }
    last = now;
    return ((uint64_t)turns << 32) | now;
}

uint64_t edgert_port_ticks_per_second(void) {
    return BOARD_CLOCK_HZ;
}
