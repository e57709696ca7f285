/* SHA-256 of FIPS 180-4, piece by piece. */
#ifndef EDGERT_SHA256_H
#define EDGERT_SHA256_H

#include <stdint.h>

#define EDGERT_SHA256_BYTES 32u
#define EDGERT_SHA256_BLOCK 64u

/* `count` is the number of bytes that were taken so far. */
typedef struct {
    uint32_t state[8];
    uint32_t count;
    uint8_t block[EDGERT_SHA256_BLOCK];
} edgert_sha256;

void edgert_sha256_begin(edgert_sha256 *hash);
void edgert_sha256_add(edgert_sha256 *hash, const uint8_t *bytes, uint32_t count);
void edgert_sha256_end(edgert_sha256 *hash, uint8_t digest[EDGERT_SHA256_BYTES]);

#endif
