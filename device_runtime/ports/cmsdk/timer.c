/* The 32-bit timer of Arm's Cortex-M System Design Kit (DDI 0479, 4.4), counting down once a clock. */
#include "board.h"
#include "../cortex_m/devices.h"
#include "port.h"

#define CONTROL EDGERT_REGISTER(BOARD_TIMER)
#define VALUE EDGERT_REGISTER(BOARD_TIMER + 0x04u)
#define RELOAD EDGERT_REGISTER(BOARD_TIMER + 0x08u)

#define CONTROL_ENABLE 1u
#define LONGEST 0xFFFFFFFFu

/* The 64-bit clock: what the timer showed last, and the whole turns before it. */
static uint32_t last;
static uint32_t turns;

void edgert_clock_start(void) {
    CONTROL = 0u;
    RELOAD = LONGEST;
    VALUE = LONGEST;
    CONTROL = CONTROL_ENABLE;
}

/* One turn takes more than 170 s at 25 MHz; a turn is seen when the clock is read at least once in each. */
uint64_t edgert_port_ticks(void) {
    const uint32_t now = LONGEST - VALUE;
    if (now < last) {
        ++turns;
    }
    last = now;
    return ((uint64_t)turns << 32) | now;
}

uint64_t edgert_port_ticks_per_second(void) {
    return BOARD_CLOCK_HZ;
}
