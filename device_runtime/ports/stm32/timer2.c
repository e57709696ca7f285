/* TIM2 of the STM32F4 (RM0090, 18.4), 32 bits, counting up once a clock of its own: half the core's, for the prescaler of
 * APB1 is 4 and timers run at twice its clock. QEMU counts its nanoseconds instead. */
#include "../cortex_m/devices.h"
#include "board.h"
#include "clock.h"
#include "port.h"

#define CONTROL EDGERT_REGISTER(BOARD_TIMER)
#define EVENT EDGERT_REGISTER(BOARD_TIMER + 0x14u)
#define COUNT EDGERT_REGISTER(BOARD_TIMER + 0x24u)
#define PRESCALER EDGERT_REGISTER(BOARD_TIMER + 0x28u)
#define RELOAD EDGERT_REGISTER(BOARD_TIMER + 0x2Cu)

#define CONTROL_ENABLE 1u
#define EVENT_UPDATE 1u
#define EVERY_CLOCK 0u
#define LONGEST 0xFFFFFFFFu

/* The 64-bit clock: what the timer showed last, and the whole turns before it. */
static uint32_t last;
static uint32_t turns;

void edgert_clock_start(void) {
    EDGERT_REGISTER(BOARD_TIMER_ENABLE) |= BOARD_TIMER_ENABLE_BIT;
    (void)EDGERT_REGISTER(BOARD_TIMER_ENABLE);
    PRESCALER = EVERY_CLOCK;
    RELOAD = LONGEST;
    EVENT = EVENT_UPDATE;
    CONTROL = CONTROL_ENABLE;
}

/* One turn takes 51 s at 84 MHz; a turn is seen when the clock is read at least once in each. */
uint64_t edgert_port_ticks(void) {
    const uint32_t now = COUNT;
    if (now < last) {
        ++turns;
    }
    last = now;
    return ((uint64_t)turns << 32) | now;
}

uint64_t edgert_port_ticks_per_second(void) {
    return stm32_core_hz() / BOARD_CORE_CLOCKS_A_TICK;
}
