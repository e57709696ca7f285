/* A process: the stream is stdin and stdout, the clock CLOCK_MONOTONIC_RAW in nanoseconds. */
#define _GNU_SOURCE

#include "port.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

enum { BUFFER_BYTES = 4096, STATUS_FILE_BYTES = 4096 };

static uint8_t inbox[BUFFER_BYTES];
static size_t inbox_count;
static size_t inbox_taken;

static uint8_t outbox[BUFFER_BYTES];
static size_t outbox_count;

/* Whoever reads is gone when a write fails: nothing is left to do. */
static void flush(void) {
    size_t sent = 0u;
    while (sent < outbox_count) {
        const ssize_t count = write(STDOUT_FILENO, &outbox[sent], outbox_count - sent);
        if (count <= 0) {
            _exit(1);
        }
        sent += (size_t)count;
    }
    outbox_count = 0u;
}

void edgert_port_start(void) {
    edgert_faults_install();
}

bool edgert_port_read(uint8_t *byte) {
    if (inbox_taken == inbox_count) {
        flush();
        const ssize_t count = read(STDIN_FILENO, inbox, sizeof inbox);
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
    for (uint32_t i = 0u; i < count; ++i) {
        if (outbox_count == sizeof outbox) {
            flush();
        }
        outbox[outbox_count] = bytes[i];
        ++outbox_count;
    }
}

uint64_t edgert_port_ticks(void) {
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t edgert_port_ticks_per_second(void) {
    return 1000000000u;
}

bool edgert_port_stack_bytes(uint64_t *bytes) {
    (void)bytes;
    return false;
}

static bool read_status_file(char *text, size_t room) {
    const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    const ssize_t count = read(file, text, room - 1u);
    (void)close(file);
    if (count <= 0) {
        return false;
    }
    text[count] = '\0';
    return true;
}

/* VmHWM, the most memory that was ever resident, stands in kB (proc(5)). */
bool edgert_port_resident_bytes(uint64_t *bytes) {
    char text[STATUS_FILE_BYTES];
    const char *at = read_status_file(text, sizeof text) ? strstr(text, "VmHWM:") : NULL;
    if (at == NULL) {
        return false;
    }
    uint64_t kilobytes = 0u;
    for (at += strcspn(at, "0123456789"); *at >= '0' && *at <= '9'; ++at) {
        kilobytes = kilobytes * 10u + (uint64_t)(*at - '0');
    }
    *bytes = kilobytes * 1024u;
    return true;
}

_Noreturn void edgert_port_reset(void) {
    flush();
    edgert_faults_restart();
}
