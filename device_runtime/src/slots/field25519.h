/* Numbers modulo p = 2^255 - 19, as eight words, least first. Any number of 256 bits stands for its rest by p; only
 * edgert_field_pack gives the rest itself. Results may lie where the operands lie. */
#ifndef EDGERT_FIELD25519_H
#define EDGERT_FIELD25519_H

#include <stdbool.h>
#include <stdint.h>

#define EDGERT_FIELD_WORDS 8u
#define EDGERT_FIELD_BYTES 32u

typedef struct {
    uint32_t word[EDGERT_FIELD_WORDS];
} edgert_field;

void edgert_field_add(edgert_field *sum, const edgert_field *a, const edgert_field *b);
void edgert_field_subtract(edgert_field *difference, const edgert_field *a, const edgert_field *b);
void edgert_field_multiply(edgert_field *product, const edgert_field *a, const edgert_field *b);

/* 1 / a; 0 for 0. */
void edgert_field_invert(edgert_field *inverse, const edgert_field *a);

/* a to the power of (p - 5) / 8, from which RFC 8032 (5.1.3) makes a square root. */
void edgert_field_root_power(edgert_field *power, const edgert_field *a);

/* The number below p, least byte first. */
void edgert_field_pack(uint8_t bytes[EDGERT_FIELD_BYTES], const edgert_field *a);
void edgert_field_unpack(edgert_field *a, const uint8_t bytes[EDGERT_FIELD_BYTES]);

bool edgert_field_is_equal(const edgert_field *a, const edgert_field *b);
bool edgert_field_is_odd(const edgert_field *a);

#endif
