/* What SHA-256 and SHA-512 share (FIPS 180-4): the constants of one are the upper halves of the other's. */
#ifndef EDGERT_SHA2_H
#define EDGERT_SHA2_H

#include <stdint.h>

/* 4.2.2, 4.2.3: the first 64 bits of the fractional parts of the cube roots of the first 80 primes. */
extern const uint64_t edgert_sha2_rounds[80];

/* 5.3.3, 5.3.5: the same of the square roots of the first 8 primes. */
extern const uint64_t edgert_sha2_start[8];

#endif
