/* The 64-bit system counter of Corstone SSE-300 (101773, 6.2): its control frame starts it, a timer's frame shows it. */
#include "board.h"
#include "../cortex_m/devices.h"
#include "port.h"

#define COUNTER_CONTROL EDGERT_REGISTER(BOARD_COUNTER)
#define COUNT_LOW EDGERT_REGISTER(BOARD_TIMER)
#define COUNT_HIGH EDGERT_REGISTER(BOARD_TIMER + 0x04u)

#define CONTROL_ENABLE 1u

void edgert_clock_start(void) {
    COUNTER_CONTROL = CONTROL_ENABLE;
}

/* The low half may turn over between the two reads: then the high half differs, and both are read again. */
uint64_t edgert_port_ticks(void) {
    uint32_t high;
    uint32_t low;
    do {
        high = COUNT_HIGH;
        low = COUNT_LOW;
    } while (high != COUNT_HIGH);
    return ((uint64_t)high << 32) | low;
}

uint64_t edgert_port_ticks_per_second(void) {
    return BOARD_CLOCK_HZ;
}
