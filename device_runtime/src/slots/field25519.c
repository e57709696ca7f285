#include "field25519.h"

#include <string.h>

#include "bytes.h"

/* 2^256 is 38 modulo p. */
#define FOLD 38u

/* Add a small number; what passes 2^256 comes back as 38. The second turn of the loop ends it. */
static void add_small(edgert_field *a, uint32_t number) {
    uint64_t carry = number;
    while (carry != 0u) {
        for (uint32_t i = 0u; i < EDGERT_FIELD_WORDS; ++i) {
            carry += a->word[i];
            a->word[i] = (uint32_t)carry;
            carry >>= 32;
        }
        carry *= FOLD;
    }
}

void edgert_field_add(edgert_field *sum, const edgert_field *a, const edgert_field *b) {
    uint64_t carry = 0u;
    for (uint32_t i = 0u; i < EDGERT_FIELD_WORDS; ++i) {
        carry += (uint64_t)a->word[i] + b->word[i];
        sum->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
    add_small(sum, FOLD * (uint32_t)carry);
}

/* The complement of b is 2^256 - 1 - b, modulo p 37 - b: with 2p - 37 added it is -b. */
void edgert_field_subtract(edgert_field *difference, const edgert_field *a, const edgert_field *b) {
    static const edgert_field twice_p_less_37 = {
        {0xFFFFFFDAu - 37u, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu}};
    edgert_field rest;
    for (uint32_t i = 0u; i < EDGERT_FIELD_WORDS; ++i) {
        rest.word[i] = ~b->word[i];
    }
    edgert_field_add(&rest, &rest, &twice_p_less_37);
    edgert_field_add(difference, a, &rest);
}

/* Thumb-1 multiplies 32 bits by 32 into 32: a product is made of four of halves. */
#if defined(__thumb__) && !defined(__thumb2__)
#define EDGERT_FIELD_HALVES
#endif

/* a b + c + d, which is below 2^64. */
static inline uint64_t multiply_add(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
#if defined(EDGERT_FIELD_HALVES)
    const uint32_t low = (a & 0xFFFFu) * (b & 0xFFFFu);
    const uint32_t middle = (a >> 16) * (b & 0xFFFFu) + (low >> 16);
    const uint32_t other = (a & 0xFFFFu) * (b >> 16) + (middle & 0xFFFFu);
    const uint32_t high = (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16);
    return ((uint64_t)high << 32 | other << 16 | (low & 0xFFFFu)) + c + d;
#elif defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
    __asm__("umaal %0, %1, %2, %3" : "+r"(c), "+r"(d) : "r"(a), "r"(b));
    return (uint64_t)d << 32 | c;
#else
    return (uint64_t)a * b + c + d;
#endif
}

/* Row by row. */
void edgert_field_multiply(edgert_field *product, const edgert_field *a, const edgert_field *b) {
    uint32_t wide[2u * EDGERT_FIELD_WORDS] = {0u};
    for (uint32_t i = 0u; i < EDGERT_FIELD_WORDS; ++i) {
        uint32_t carry = 0u;
        for (uint32_t j = 0u; j < EDGERT_FIELD_WORDS; ++j) {
            const uint64_t sum = multiply_add(a->word[i], b->word[j], wide[i + j], carry);
            wide[i + j] = (uint32_t)sum;
            carry = (uint32_t)(sum >> 32);
        }
        wide[i + EDGERT_FIELD_WORDS] = carry;
    }
    uint32_t carry = 0u;
    for (uint32_t i = 0u; i < EDGERT_FIELD_WORDS; ++i) {
        const uint64_t sum = multiply_add(wide[i + EDGERT_FIELD_WORDS], FOLD, wide[i], carry);
        product->word[i] = (uint32_t)sum;
        carry = (uint32_t)(sum >> 32);
    }
    add_small(product, FOLD * carry);
}

/* `base` to the power of a number of `bits` bits that are all ones above its lowest byte. */
static void raise(edgert_field *power, const edgert_field *base, uint32_t bits, uint32_t lowest_byte) {
    const edgert_field factor = *base;
    *power = factor;
    for (uint32_t bit = bits - 1u; bit > 0u; --bit) {
        edgert_field_multiply(power, power, power);
        if (bit > 8u || (lowest_byte >> (bit - 1u) & 1u) != 0u) {
            edgert_field_multiply(power, power, &factor);
        }
    }
}

/* p - 2 is 2^255 - 21 (Fermat). */
void edgert_field_invert(edgert_field *inverse, const edgert_field *a) {
    raise(inverse, a, 255u, 256u - 21u);
}

/* (p - 5) / 8 is 2^252 - 3. */
void edgert_field_root_power(edgert_field *power, const edgert_field *a) {
    raise(power, a, 252u, 256u - 3u);
}

/* 2^255 is 19 modulo p. */
static void fold_top_bit(edgert_field *a) {
    const uint32_t top = a->word[EDGERT_FIELD_WORDS - 1u] >> 31;
    a->word[EDGERT_FIELD_WORDS - 1u] &= 0x7FFFFFFFu;
    add_small(a, 19u * top);
}

/* Folded twice, a is below 2^255; it is p or more when a + 19 reaches 2^255, and then folding that takes p away. */
void edgert_field_pack(uint8_t bytes[EDGERT_FIELD_BYTES], const edgert_field *a) {
    edgert_field rest = *a;
    fold_top_bit(&rest);
    fold_top_bit(&rest);
    edgert_field more = rest;
    add_small(&more, 19u);
    const bool is_reduced = more.word[EDGERT_FIELD_WORDS - 1u] >> 31 == 0u;
    more.word[EDGERT_FIELD_WORDS - 1u] &= 0x7FFFFFFFu;
    for (uint32_t i = 0u; i < EDGERT_FIELD_WORDS; ++i) {
        edgert_put(&bytes[4u * i], is_reduced ? rest.word[i] : more.word[i], 4u);
    }
}

void edgert_field_unpack(edgert_field *a, const uint8_t bytes[EDGERT_FIELD_BYTES]) {
    for (uint32_t i = 0u; i < EDGERT_FIELD_WORDS; ++i) {
        a->word[i] = edgert_get(&bytes[4u * i], 4u);
    }
}

bool edgert_field_is_equal(const edgert_field *a, const edgert_field *b) {
    uint8_t packed[2][EDGERT_FIELD_BYTES];
    edgert_field_pack(packed[0], a);
    edgert_field_pack(packed[1], b);
    return memcmp(packed[0], packed[1], EDGERT_FIELD_BYTES) == 0;
}

bool edgert_field_is_odd(const edgert_field *a) {
    uint8_t packed[EDGERT_FIELD_BYTES];
    edgert_field_pack(packed, a);
    return (packed[0] & 1u) != 0u;
}
