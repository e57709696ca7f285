#include "sha256.h"

#include "sha2.h"

enum { ROUNDS = 64, WORD_BYTES = 4, LENGTH_BYTES = 2 * WORD_BYTES, LENGTH_AT = EDGERT_SHA256_BLOCK - LENGTH_BYTES };

static uint32_t rotate(uint32_t word, uint32_t by) {
    return word >> by | word << (32u - by);
}

static uint32_t load(const uint8_t *from) {
    uint32_t word = 0u;
    for (uint32_t i = 0u; i < WORD_BYTES; ++i) {
        word = word << 8 | from[i];
    }
    return word;
}

/* 4.1.2, 6.2; w[] holds the sixteen words of the schedule that are still needed. */
static void compress(edgert_sha256 *hash) {
    uint32_t *state = hash->state;
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    uint32_t w[16];
    for (uint32_t t = 0u; t < ROUNDS; ++t) {
        uint32_t *word = &w[t % 16u];
        if (t < 16u) {
            *word = load(&hash->block[WORD_BYTES * t]);
        } else {
            const uint32_t early = w[(t + 1u) % 16u];
            const uint32_t late = w[(t + 14u) % 16u];
            *word += (rotate(early, 7u) ^ rotate(early, 18u) ^ early >> 3) + w[(t + 9u) % 16u] +
                     (rotate(late, 17u) ^ rotate(late, 19u) ^ late >> 10);
        }
        const uint32_t first = h + (rotate(e, 6u) ^ rotate(e, 11u) ^ rotate(e, 25u)) + ((e & f) ^ (~e & g)) +
                               (uint32_t)(edgert_sha2_rounds[t] >> 32) + *word;
        const uint32_t second = (rotate(a, 2u) ^ rotate(a, 13u) ^ rotate(a, 22u)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + first;
        d = c;
        c = b;
        b = a;
        a = first + second;
    }
    const uint32_t sums[8] = {a, b, c, d, e, f, g, h};
    for (uint32_t i = 0u; i < 8u; ++i) {
        state[i] += sums[i];
    }
}

void edgert_sha256_begin(edgert_sha256 *hash) {
    hash->count = 0u;
    for (uint32_t i = 0u; i < 8u; ++i) {
        hash->state[i] = (uint32_t)(edgert_sha2_start[i] >> 32);
    }
}

void edgert_sha256_add(edgert_sha256 *hash, const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        hash->block[hash->count % EDGERT_SHA256_BLOCK] = bytes[i];
        ++hash->count;
        if (hash->count % EDGERT_SHA256_BLOCK == 0u) {
            compress(hash);
        }
    }
}

/* 5.1.1: a one bit, zeros, and the length in bits, which ends a block. */
void edgert_sha256_end(edgert_sha256 *hash, uint8_t digest[EDGERT_SHA256_BYTES]) {
    const uint64_t length = (uint64_t)hash->count * 8u;
    uint8_t byte = 0x80u;
    do {
        edgert_sha256_add(hash, &byte, 1u);
        byte = 0u;
    } while (hash->count % EDGERT_SHA256_BLOCK != LENGTH_AT);
    for (uint32_t i = LENGTH_BYTES; i > 0u; --i) {
        byte = (uint8_t)(length >> (8u * (i - 1u)));
        edgert_sha256_add(hash, &byte, 1u);
    }
    for (uint32_t i = 0u; i < EDGERT_SHA256_BYTES; ++i) {
        digest[i] = (uint8_t)(hash->state[i / WORD_BYTES] >> (24u - 8u * (i % WORD_BYTES)));
    }
}
