/* What a port brings: a byte stream, a clock, and what the board or system can tell about itself. */
#ifndef EDGERT_PORT_H
#define EDGERT_PORT_H

#include <stdbool.h>
#include <stdint.h>

/* Make the stream and the clock ready. Called once, before anything else. */
void edgert_port_start(void);

/* Wait for one byte. False at the end of the stream, which only a hosted port knows. */
bool edgert_port_read(uint8_t *byte);

/* Send all of `count` bytes. */
void edgert_port_write(const uint8_t *bytes, uint32_t count);

/* A clock that never runs backwards and does not wrap within a session. */
uint64_t edgert_port_ticks(void);
uint64_t edgert_port_ticks_per_second(void);

/* Statistics that not every port has: false, and `bytes` untouched, where there is none. Resident is the most that ever
 * was; proportional is what is resident now, pages that several processes share divided among them. */
bool edgert_port_stack_bytes(uint64_t *bytes);
bool edgert_port_resident_bytes(uint64_t *bytes);
bool edgert_port_proportional_bytes(uint64_t *bytes);

/* Spread layers over `count` threads from now on, at least 1 (include/edgert_parallel.h). False where there are not so
 * many. */
bool edgert_port_use_threads(uint32_t count);

/* Watch an inference: unless the watch is ended, or begun again, within EDGERT_WATCH_SECONDS, the port stores a fault of
 * the kind WATCHDOG and starts anew. Nothing happens where a port has no watchdog. */
#ifndef EDGERT_WATCH_SECONDS
#define EDGERT_WATCH_SECONDS 60u
#endif
void edgert_port_watch(void);
void edgert_port_watch_end(void);

/* True when the board's own record of its last start says that a watchdog was the cause. */
bool edgert_port_watchdog_fired(void);

/* Start anew as after power-on, the fault record kept. Does not return. */
_Noreturn void edgert_port_reset(void);

#endif
