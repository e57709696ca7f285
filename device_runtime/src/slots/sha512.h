/* SHA-512 of FIPS 180-4, piece by piece. */
#ifndef EDGERT_SHA512_H
#define EDGERT_SHA512_H

#include <stdint.h>

#define EDGERT_SHA512_BYTES 64u
#define EDGERT_SHA512_BLOCK 128u

/* `count` is the number of bytes that were taken so far. */
typedef struct {
    uint64_t state[8];
    uint32_t count;
    uint8_t block[EDGERT_SHA512_BLOCK];
} edgert_sha512;

void edgert_sha512_begin(edgert_sha512 *hash);
void edgert_sha512_add(edgert_sha512 *hash, const uint8_t *bytes, uint32_t count);
void edgert_sha512_end(edgert_sha512 *hash, uint8_t digest[EDGERT_SHA512_BYTES]);

#endif
