#include "sha512.h"

#include <string.h>

#include "sha2.h"

enum { ROUNDS = 80, WORD_BYTES = 8, LENGTH_BYTES = 2 * WORD_BYTES, LENGTH_AT = EDGERT_SHA512_BLOCK - LENGTH_BYTES };

static uint64_t rotate(uint64_t word, uint32_t by) {
    return word >> by | word << (64u - by);
}

static uint64_t load(const uint8_t *from) {
    uint64_t word = 0u;
    for (uint32_t i = 0u; i < WORD_BYTES; ++i) {
        word = word << 8 | from[i];
    }
    return word;
}

/* 4.1.3, 6.4; w[] holds the sixteen words of the schedule that are still needed. */
static void compress(edgert_sha512 *hash) {
    uint64_t s[8];
    uint64_t w[16];
    memcpy(s, hash->state, sizeof s);
    for (uint32_t t = 0u; t < ROUNDS; ++t) {
        uint64_t *word = &w[t % 16u];
        if (t < 16u) {
            *word = load(&hash->block[WORD_BYTES * t]);
        } else {
            const uint64_t early = w[(t + 1u) % 16u];
            const uint64_t late = w[(t + 14u) % 16u];
            *word += (rotate(early, 1u) ^ rotate(early, 8u) ^ early >> 7) + w[(t + 9u) % 16u] +
                     (rotate(late, 19u) ^ rotate(late, 61u) ^ late >> 6);
        }
        const uint64_t first = s[7] + (rotate(s[4], 14u) ^ rotate(s[4], 18u) ^ rotate(s[4], 41u)) +
                               ((s[4] & s[5]) ^ (~s[4] & s[6])) + edgert_sha2_rounds[t] + *word;
        const uint64_t second = (rotate(s[0], 28u) ^ rotate(s[0], 34u) ^ rotate(s[0], 39u)) +
                                ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(&s[1], &s[0], sizeof s - sizeof s[0]);
        s[4] += first;
        s[0] = first + second;
    }
    for (uint32_t i = 0u; i < 8u; ++i) {
        hash->state[i] += s[i];
    }
}

void edgert_sha512_begin(edgert_sha512 *hash) {
    hash->count = 0u;
    for (uint32_t i = 0u; i < 8u; ++i) {
        hash->state[i] = edgert_sha2_start[i];
    }
}

void edgert_sha512_add(edgert_sha512 *hash, const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        hash->block[hash->count % EDGERT_SHA512_BLOCK] = bytes[i];
        ++hash->count;
        if (hash->count % EDGERT_SHA512_BLOCK == 0u) {
            compress(hash);
        }
    }
}

/* 5.1.2: a one bit, zeros, and the length in bits, which ends a block. */
void edgert_sha512_end(edgert_sha512 *hash, uint8_t digest[EDGERT_SHA512_BYTES]) {
    const uint64_t length = (uint64_t)hash->count * 8u;
    uint8_t byte = 0x80u;
    do {
        edgert_sha512_add(hash, &byte, 1u);
        byte = 0u;
    } while (hash->count % EDGERT_SHA512_BLOCK != LENGTH_AT);
    for (uint32_t i = LENGTH_BYTES; i > 0u; --i) {
        byte = (uint8_t)(i > 8u ? 0u : length >> (8u * (i - 1u)));
        edgert_sha512_add(hash, &byte, 1u);
    }
    for (uint32_t i = 0u; i < EDGERT_SHA512_BYTES; ++i) {
        digest[i] = (uint8_t)(hash->state[i / WORD_BYTES] >> (56u - 8u * (i % WORD_BYTES)));
    }
}
