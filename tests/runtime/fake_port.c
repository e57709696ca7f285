#include "fake_port.h"

#include <string.h>

#include "port.h"

fake_port port;

void fake_port_clear(void) {
    port.inbox_count = 0u;
    port.inbox_taken = 0u;
    port.outbox_count = 0u;
}

void fake_port_put(const uint8_t *bytes, uint32_t count) {
    memcpy(&port.inbox[port.inbox_count], bytes, count);
    port.inbox_count += count;
}

void edgert_port_start(void) {
    fake_port_clear();
}

bool edgert_port_read(uint8_t *byte) {
    if (port.inbox_taken == port.inbox_count) {
        return false;
    }
    *byte = port.inbox[port.inbox_taken];
    ++port.inbox_taken;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    memcpy(&port.outbox[port.outbox_count], bytes, count);
    port.outbox_count += count;
}

uint64_t edgert_port_ticks(void) {
    return port.ticks;
}

uint64_t edgert_port_ticks_per_second(void) {
    return 1000u;
}

bool edgert_port_stack_bytes(uint64_t *bytes) {
    if (!port.is_process) {
        *bytes = 1234u;
    }
    return !port.is_process;
}

bool edgert_port_resident_bytes(uint64_t *bytes) {
    if (port.is_process) {
        *bytes = 5678u;
    }
    return port.is_process;
}

bool edgert_port_proportional_bytes(uint64_t *bytes) {
    if (port.is_process) {
        *bytes = 4321u;
    }
    return port.is_process;
}

bool edgert_port_use_threads(uint32_t count) {
    if (count > FAKE_THREADS) {
        return false;
    }
    port.threads = count;
    return true;
}

void edgert_port_watch(void) {
    port.watches += 1u;
}

void edgert_port_watch_end(void) {
    port.watches_ended += 1u;
}

bool edgert_port_watchdog_fired(void) {
    return port.watchdog_fired;
}

_Noreturn void edgert_port_reset(void) {
    longjmp(port.on_reset, 1);
}
