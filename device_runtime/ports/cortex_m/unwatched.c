/* For a board whose watchdog the port does not use. */
#include "port.h"

void edgert_port_watch(void) {
}

void edgert_port_watch_end(void) {
}

bool edgert_port_watchdog_fired(void) {
    return false;
}
