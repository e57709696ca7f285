/* Linux without a C library: nothing of the program depends on what is installed on the device.
 *
 * Each system_ARCHITECTURE.c brings the three functions that only an assembler can write; the rest is C. Numbers and
 * structures are those of the kernel (include/uapi and arch/ARCHITECTURE/include/uapi of its sources). */
#ifndef EDGERT_LINUX_SYSTEM_H
#define EDGERT_LINUX_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
enum {
    CALL_READ = 0,
    CALL_WRITE = 1,
    CALL_CLOSE = 3,
    CALL_MAP = 9,
    CALL_PROTECT = 10,
    CALL_SIGNAL_ACTION = 13,
    CALL_YIELD = 24,
    CALL_EXECUTE = 59,
    CALL_SIGNAL_STACK = 131,
    CALL_FUTEX = 202,
    CALL_SET_CORES = 203,
    CALL_GET_CORES = 204,
    CALL_CLOCK = 228,
    CALL_EXIT = 231,
    CALL_OPEN_AT = 257,
    CALL_READ_LINK_AT = 267
};
#elif defined(__aarch64__)
enum {
    CALL_OPEN_AT = 56,
    CALL_CLOSE = 57,
    CALL_READ = 63,
    CALL_WRITE = 64,
    CALL_READ_LINK_AT = 78,
    CALL_EXIT = 94,
    CALL_FUTEX = 98,
    CALL_CLOCK = 113,
    CALL_SET_CORES = 122,
    CALL_GET_CORES = 123,
    CALL_YIELD = 124,
    CALL_SIGNAL_STACK = 132,
    CALL_SIGNAL_ACTION = 134,
    CALL_EXECUTE = 221,
    CALL_MAP = 222,
    CALL_PROTECT = 226
};
#elif defined(__arm__)
/* CALL_MAP is mmap2: its offset counts pages. */
enum {
    CALL_READ = 3,
    CALL_WRITE = 4,
    CALL_CLOSE = 6,
    CALL_EXECUTE = 11,
    CALL_PROTECT = 125,
    CALL_YIELD = 158,
    CALL_SIGNAL_ACTION = 174,
    CALL_SIGNAL_STACK = 186,
    CALL_MAP = 192,
    CALL_FUTEX = 240,
    CALL_SET_CORES = 241,
    CALL_GET_CORES = 242,
    CALL_EXIT = 248,
    CALL_CLOCK = 263,
    CALL_OPEN_AT = 322,
    CALL_READ_LINK_AT = 332
};
#else
#error "no system_ARCHITECTURE.c for this architecture"
#endif

enum { STANDARD_INPUT = 0, STANDARD_OUTPUT = 1, AT_WORKING_FOLDER = -100 };

/* A system call: its result, or a number from -4095 to -1 for an error. */
long edgert_system_call(long number, long a, long b, long c, long d, long e, long f);

/* Run `run(argument)` on a thread of its own whose stack ends below `stack_top`; negative when there is none. `run` does
 * not return. */
long edgert_system_thread(void (*run)(void *), void *argument, void *stack_top);

/* The value of an environment variable, or NULL. */
const char *edgert_system_environment(const char *name);

static inline long edgert_read(int file, void *to, size_t room) {
    return edgert_system_call(CALL_READ, file, (long)to, (long)room, 0, 0, 0);
}

static inline long edgert_write(int file, const void *from, size_t count) {
    return edgert_system_call(CALL_WRITE, file, (long)from, (long)count, 0, 0, 0);
}

static inline _Noreturn void edgert_exit(int code) {
    for (;;) {
        (void)edgert_system_call(CALL_EXIT, code, 0, 0, 0, 0, 0);
    }
}

/* Read a small file as text. Returns its length, at most room - 1, or a negative number. */
long edgert_read_file(const char *path, char *text, size_t room);

#endif
