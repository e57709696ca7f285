/* A port in memory: what the runtime reads is put in before, what it writes can be looked at afterwards. */
#ifndef FAKE_PORT_H
#define FAKE_PORT_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_ROOM (1u << 20)
#define FAKE_THREADS 4u

typedef struct {
    uint8_t inbox[FAKE_ROOM];
    uint32_t inbox_count;
    uint32_t inbox_taken;
    uint8_t outbox[FAKE_ROOM];
    uint32_t outbox_count;
    uint64_t ticks;
    bool is_process; /* has resident memory instead of a painted stack */
    uint32_t threads;
    uint32_t watches;
    uint32_t watches_ended;
    bool watchdog_fired;
    jmp_buf on_reset;
} fake_port;

extern fake_port port;

/* Empty both boxes. */
void fake_port_clear(void);

/* Put bytes into the inbox. */
void fake_port_put(const uint8_t *bytes, uint32_t count);

#endif
