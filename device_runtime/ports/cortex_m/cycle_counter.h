/* What a board adds to cycle_counter.c. */
#ifndef EDGERT_CYCLE_COUNTER_H
#define EDGERT_CYCLE_COUNTER_H

#include <stdint.h>

/* Clocks of the core a second, after the start. */
uint32_t edgert_core_hz(void);

#endif
