/* xorshift32 (Marsaglia 2003): the same numbers in every run. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

static uint32_t random_state = 2463534242u;

static uint32_t random_below(uint32_t limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % limit;
}

static void random_bytes(uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        bytes[i] = (uint8_t)random_below(256u);
    }
}

#endif
