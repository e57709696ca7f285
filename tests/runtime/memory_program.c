/* A program without a C library that checks the port's memory functions at every length and alignment up to 40 bytes.
 * Exits with 0, or with the number of the function that failed. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { LONGEST = 40, ALIGNMENTS = 17, ROOM = LONGEST + 2 * ALIGNMENTS };

static uint8_t from[ROOM];
static uint8_t to[ROOM];

static void fill(void) {
    for (uint32_t i = 0u; i < ROOM; ++i) {
        from[i] = (uint8_t)(i + 1u);
        to[i] = (uint8_t)(200u + i);
    }
}

/* True when `to` holds `wanted(i)` from `start` on, and around it what `fill` wrote. */
static bool holds(uint32_t start, uint32_t length, uint8_t first, uint8_t step) {
    for (uint32_t i = 0u; i < ROOM; ++i) {
        const bool inside = i >= start && i - start < length;
        if (to[i] != (uint8_t)(inside ? first + step * (i - start) : 200u + i)) {
            return false;
        }
    }
    return true;
}

static int check(uint32_t length, uint32_t at, uint32_t other) {
    fill();
    if (memcpy(&to[at], &from[other], length) != &to[at] || !holds(at, length, (uint8_t)(other + 1u), 1u)) {
        return 1;
    }
    fill();
    if (memset(&to[at], 0x1A5, length) != &to[at] || !holds(at, length, 0xA5u, 0u)) {
        return 2;
    }
    fill();
    if (memmove(&to[at], &to[other], length) != &to[at] || !holds(at, length, (uint8_t)(200u + other), 1u)) {
        return 3;
    }
    fill();
    memcpy(&to[at], &from[other], length);
    if (memcmp(&to[at], &from[other], length) != 0) {
        return 4;
    }
    for (uint32_t i = 0u; i < length; ++i) {
        to[at + i] = (uint8_t)(from[other + i] + 1u);
        if (memcmp(&to[at], &from[other], length) <= 0 || memcmp(&from[other], &to[at], length) >= 0) {
            return 5;
        }
        to[at + i] = from[other + i];
    }
    to[at + length] = 0u;
    return strlen((const char *)&to[at]) == length ? 0 : 6;
}

int main(void) {
    for (uint32_t length = 0u; length <= LONGEST; ++length) {
        for (uint32_t at = 0u; at < ALIGNMENTS; ++at) {
            for (uint32_t other = 0u; other < ALIGNMENTS; ++other) {
                const int failed = check(length, at, other);
                if (failed != 0) {
                    return failed;
                }
            }
        }
    }
    return 0;
}
