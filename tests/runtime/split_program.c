/* A program without a C library whose parts count what they were given: every thread, many times, awake and asleep. Exits
 * with 0 when each part came exactly once, and with the number of the failed check otherwise. */
#include <stdint.h>

#include "edgert_parallel.h"
#include "port.h"

enum { PARTS = 97, ROUNDS = 200, THREADS = 8, SLOW_ROUNDS = 6, LONG_NS = 400000 /* who waits has fallen asleep */ };

static uint32_t taken[PARTS];
static uint32_t sums[PARTS];
static uint32_t slow_part = PARTS;

static void wait_long(void) {
    const uint64_t begin = edgert_port_ticks();
    while (edgert_port_ticks() - begin < LONG_NS) {
    }
}

static void count_parts(uint32_t first, uint32_t last, void *context) {
    const uint32_t *round = context;
    for (uint32_t part = first; part < last; ++part) {
        if (part == slow_part) {
            wait_long();
        }
        ++taken[part];
        sums[part] += *round * part;
    }
}

/* `round` lies on the stack, as a kernel's context does. */
static int check(uint32_t parts, uint32_t rounds) {
    for (uint32_t part = 0u; part < PARTS; ++part) {
        taken[part] = 0u;
        sums[part] = 0u;
    }
    uint32_t total = 0u;
    for (uint32_t i = 0u; i < rounds; ++i) {
        uint32_t round = i;
        total += i;
        edgert_split(count_parts, &round, parts);
    }
    for (uint32_t part = 0u; part < PARTS; ++part) {
        const uint32_t wanted = part < parts ? 1u : 0u;
        if (taken[part] != wanted * rounds || sums[part] != wanted * total * part) {
            return 1;
        }
    }
    return 0;
}

/* Helpers fall asleep before each loop, and now the caller, now a helper has to wait for a part. */
static int check_asleep(uint32_t threads) {
    for (uint32_t i = 0u; i < SLOW_ROUNDS; ++i) {
        slow_part = i % 2u == 0u ? threads - 1u : 0u;
        wait_long();
        if (check(threads, 1u) != 0) {
            return 1;
        }
    }
    slow_part = PARTS;
    return 0;
}

int main(void) {
    static const uint32_t threads[] = {1u, 2u, THREADS, 3u, 1u, 4u};
    for (uint32_t i = 0u; i < sizeof threads / sizeof *threads; ++i) {
        if (!edgert_port_use_threads(threads[i])) {
            return 2;
        }
        for (uint32_t parts = 0u; parts <= PARTS; parts += parts < 10u ? 1u : 29u) {
            if (check(parts, ROUNDS) != 0) {
                return 3;
            }
        }
        if (check_asleep(threads[i]) != 0) {
            return 5;
        }
    }
    return edgert_port_use_threads(65u) ? 4 : 0;
}
