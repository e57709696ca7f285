/* A process: the stream is stdin and stdout, the clock CLOCK_MONOTONIC_RAW in nanoseconds. */
#include "port.h"

#include <stddef.h>
#include <string.h>

#include "faults.h"
#include "stack.h"
#include "system.h"

enum {
    BUFFER_BYTES = 65536,
    PROC_FILE_BYTES = 4096,
    CLOCK_RAW = 4,
    PAINTED_BYTES = 32768,
    UNPAINTED_WORDS = 64 /* for the function that paints */
};

static uint32_t *painted_low;
static const uint32_t *painted_top;

static uint8_t inbox[BUFFER_BYTES];
static size_t inbox_count;
static size_t inbox_taken;

static uint8_t outbox[BUFFER_BYTES];
static size_t outbox_count;

/* Whoever reads is gone when a write fails: nothing is left to do. */
static void flush(void) {
    size_t sent = 0u;
    while (sent < outbox_count) {
        const long count = edgert_write(STANDARD_OUTPUT, &outbox[sent], outbox_count - sent);
        if (count <= 0) {
            edgert_exit(1);
        }
        sent += (size_t)count;
    }
    outbox_count = 0u;
}

/* The stack that a network uses is a few kilobytes; what is painted counts as resident. */
__attribute__((noinline)) static void paint_stack(void) {
    const uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)15u;
    painted_low = (uint32_t *)(here - PAINTED_BYTES);
    painted_top = (const uint32_t *)here;
    edgert_stack_paint(painted_low, painted_top - UNPAINTED_WORDS);
}

void edgert_port_start(void) {
    paint_stack();
    edgert_faults_install();
}

bool edgert_port_read(uint8_t *byte) {
    if (inbox_taken == inbox_count) {
        flush();
        const long count = edgert_read(STANDARD_INPUT, inbox, sizeof inbox);
        if (count <= 0) {
            return false;
        }
        inbox_count = (size_t)count;
        inbox_taken = 0u;
    }
    *byte = inbox[inbox_taken];
    ++inbox_taken;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    while (count > 0u) {
        if (outbox_count == sizeof outbox) {
            flush();
        }
        const size_t room = sizeof outbox - outbox_count;
        const size_t part = count < room ? count : room;
        memcpy(&outbox[outbox_count], bytes, part);
        outbox_count += part;
        bytes += part;
        count -= (uint32_t)part;
    }
}

uint64_t edgert_port_ticks(void) {
    long now[2] = {0, 0};
    (void)edgert_system_call(CALL_CLOCK, CLOCK_RAW, (long)now, 0, 0, 0, 0);
    return (uint64_t)now[0] * 1000000000u + (uint64_t)now[1];
}

uint64_t edgert_port_ticks_per_second(void) {
    return 1000000000u;
}

/* That of the thread that serves; unknown when it passed what was painted. */
bool edgert_port_stack_bytes(uint64_t *bytes) {
    const uint32_t used = edgert_stack_used(painted_low, painted_top);
    if (used == PAINTED_BYTES) {
        return false;
    }
    *bytes = used;
    return true;
}

/* Find the line `name   123 kB` of a file under /proc/self (proc(5)). */
static bool read_proc_bytes(const char *path, const char *name, uint64_t *bytes) {
    static char text[PROC_FILE_BYTES]; /* off the stack, whose high-water mark is the network's */
    const size_t length = strlen(name);
    const char *at = edgert_read_file(path, text, sizeof text) > 0 ? text : NULL;
    while (at != NULL && memcmp(at, name, length) != 0) {
        while (*at != '\0' && *at != '\n') {
            ++at;
        }
        at = *at == '\n' ? at + 1 : NULL;
    }
    if (at == NULL) {
        return false;
    }
    uint64_t kilobytes = 0u;
    for (at += length; *at == ' ' || *at == '\t'; ++at) {
    }
    for (; *at >= '0' && *at <= '9'; ++at) {
        kilobytes = kilobytes * 10u + (uint64_t)(*at - '0');
    }
    *bytes = kilobytes * 1024u;
    return true;
}

/* The most memory that was ever resident. The kernel counts it roughly, some pages late; what is resident now is exact,
 * and as much must have been. */
bool edgert_port_resident_bytes(uint64_t *bytes) {
    uint64_t now = 0u;
    const bool has_most = read_proc_bytes("/proc/self/status", "VmHWM:", bytes);
    const bool has_now = read_proc_bytes("/proc/self/smaps_rollup", "Rss:", &now);
    if (has_now && (!has_most || now > *bytes)) {
        *bytes = now;
    }
    return has_most || has_now;
}

bool edgert_port_proportional_bytes(uint64_t *bytes) {
    return read_proc_bytes("/proc/self/smaps_rollup", "Pss:", bytes);
}

/* The host's own deadline ends a process that hangs. */
void edgert_port_watch(void) {
}

void edgert_port_watch_end(void) {
}

bool edgert_port_watchdog_fired(void) {
    return false;
}

_Noreturn void edgert_port_reset(void) {
    flush();
    edgert_faults_restart();
}
