/* The watchdog of Arm's Cortex-M System Design Kit (DDI 0479, 4.6). When it has counted down it raises the Non-Maskable
 * Interrupt, which no mask holds back: the fault record tells where the program was. A second time it resets the board. */
#include "board.h"
#include "../cortex_m/devices.h"
#include "port.h"

#define LOAD EDGERT_REGISTER(BOARD_WATCHDOG)
#define CONTROL EDGERT_REGISTER(BOARD_WATCHDOG + 0x008u)
#define INTERRUPT_CLEAR EDGERT_REGISTER(BOARD_WATCHDOG + 0x00Cu)
#define LOCK EDGERT_REGISTER(BOARD_WATCHDOG + 0xC00u)

#define UNLOCK 0x1ACCE551u
#define CONTROL_INTERRUPT_AND_RESET 3u

#ifndef EDGERT_WATCH_TICKS
#define EDGERT_WATCH_TICKS (EDGERT_WATCH_SECONDS * BOARD_WATCHDOG_HZ)
#endif

void edgert_port_watch(void) {
    LOCK = UNLOCK;
    LOAD = EDGERT_WATCH_TICKS;
    CONTROL = CONTROL_INTERRUPT_AND_RESET;
}

void edgert_port_watch_end(void) {
    CONTROL = 0u;
    INTERRUPT_CLEAR = 1u;
}

/* The record of the interrupt says it better. */
bool edgert_port_watchdog_fired(void) {
    return false;
}
