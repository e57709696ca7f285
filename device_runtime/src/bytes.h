/* Little-endian numbers in byte buffers, for any alignment and any byte order of the machine. */
#ifndef EDGERT_BYTES_H
#define EDGERT_BYTES_H

#include <stdint.h>

static inline uint32_t edgert_get(const uint8_t *from, uint32_t count) {
    uint32_t value = 0u;
    for (uint32_t i = 0u; i < count; ++i) {
        value |= (uint32_t)from[i] << (8u * i);
    }
    return value;
}

static inline void edgert_put(uint8_t *to, uint64_t value, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        to[i] = (uint8_t)(value >> (8u * i));
    }
}

#endif
