#include "ed25519.h"

#include <string.h>

#include "bytes.h"
#include "field25519.h"
#include "sha512.h"

enum { WORDS = 8, SCALAR_BITS = 253 };

/* A point of the curve -x^2 + y^2 = 1 + d x^2 y^2 in extended coordinates: x = X/Z, y = Y/Z, x y = T/Z (RFC 8032, 5.1.4). */
typedef struct {
    edgert_field x;
    edgert_field y;
    edgert_field z;
    edgert_field t;
} point;

/* RFC 8032, 5.1: d, a square root of -1, and the base point. */
static const edgert_field curve_d = {
    {0x135978A3u, 0x75EB4DCAu, 0x4141D8ABu, 0x00700A4Du, 0x7779E898u, 0x8CC74079u, 0x2B6FFE73u, 0x52036CEEu}};
static const edgert_field root_of_minus_one = {
    {0x4A0EA0B0u, 0xC4EE1B27u, 0xAD2FE478u, 0x2F431806u, 0x3DFBD7A7u, 0x2B4D0099u, 0x4FC1DF0Bu, 0x2B832480u}};
static const point base = {
    {{0x8F25D51Au, 0xC9562D60u, 0x9525A7B2u, 0x692CC760u, 0xFDD6DC5Cu, 0xC0A4E231u, 0xCD6E53FEu, 0x216936D3u}},
    {{0x66666658u, 0x66666666u, 0x66666666u, 0x66666666u, 0x66666666u, 0x66666666u, 0x66666666u, 0x66666666u}},
    {{0x00000001u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u, 0x00000000u}},
    {{0xA5B7DDA3u, 0x6DDE8AB3u, 0x775152F5u, 0x20F09F80u, 0x64ABE37Du, 0x66EA4E8Eu, 0xD78B7665u, 0x67875F0Fu}}};

/* The base point's order. */
static const uint32_t order[WORDS] = {0x5CF5D3EDu, 0x5812631Au, 0xA2F79CD6u, 0x14DEF9DEu,
                                      0x00000000u, 0x00000000u, 0x00000000u, 0x10000000u};

static const edgert_field one = {{1u}};
static const point neutral = {{{0u}}, {{1u}}, {{1u}}, {{0u}}};

/* RFC 8032, 5.1.4: holds for all pairs of points, equal ones too. */
static void add(point *sum, const point *p, const point *q) {
    edgert_field a, b, c, d, e, f;
    edgert_field_subtract(&a, &p->y, &p->x);
    edgert_field_subtract(&b, &q->y, &q->x);
    edgert_field_multiply(&a, &a, &b);
    edgert_field_add(&b, &p->y, &p->x);
    edgert_field_add(&c, &q->y, &q->x);
    edgert_field_multiply(&b, &b, &c);
    edgert_field_multiply(&c, &p->t, &q->t);
    edgert_field_multiply(&c, &c, &curve_d);
    edgert_field_add(&c, &c, &c);
    edgert_field_multiply(&d, &p->z, &q->z);
    edgert_field_add(&d, &d, &d);
    edgert_field_subtract(&e, &b, &a);
    edgert_field_add(&b, &b, &a);
    edgert_field_subtract(&f, &d, &c);
    edgert_field_add(&d, &d, &c);
    edgert_field_multiply(&sum->x, &e, &f);
    edgert_field_multiply(&sum->y, &d, &b);
    edgert_field_multiply(&sum->t, &e, &b);
    edgert_field_multiply(&sum->z, &f, &d);
}

/* The same of a point and itself, in fewer products. */
static void twice(point *sum, const point *p) {
    edgert_field a, b, c, e, g, h;
    edgert_field_multiply(&a, &p->x, &p->x);
    edgert_field_multiply(&b, &p->y, &p->y);
    edgert_field_multiply(&c, &p->z, &p->z);
    edgert_field_add(&c, &c, &c);
    edgert_field_add(&h, &a, &b);
    edgert_field_add(&e, &p->x, &p->y);
    edgert_field_multiply(&e, &e, &e);
    edgert_field_subtract(&e, &h, &e);
    edgert_field_subtract(&g, &a, &b);
    edgert_field_add(&c, &c, &g);
    edgert_field_multiply(&sum->x, &e, &c);
    edgert_field_multiply(&sum->y, &g, &h);
    edgert_field_multiply(&sum->t, &e, &h);
    edgert_field_multiply(&sum->z, &c, &g);
}

/* RFC 8032, 5.1.3, with y as it is encoded. False where no point has this y, and for a y or a sign that RFC 8032 would
 * encode otherwise. */
static bool decode(point *p, const uint8_t bytes[EDGERT_FIELD_BYTES]) {
    uint8_t canonical[EDGERT_FIELD_BYTES];
    edgert_field u, v, power;
    const bool is_odd = bytes[31] >> 7 != 0u;
    memcpy(canonical, bytes, sizeof canonical);
    canonical[31] &= 0x7Fu;
    edgert_field_unpack(&p->y, canonical);
    p->z = one;
    edgert_field_multiply(&v, &p->y, &p->y);
    edgert_field_subtract(&u, &v, &one);
    edgert_field_multiply(&v, &v, &curve_d);
    edgert_field_add(&v, &v, &one);
    /* x = u v^3 (u v^7)^((p - 5) / 8) */
    edgert_field_multiply(&power, &v, &v);
    edgert_field_multiply(&power, &power, &v);
    edgert_field_multiply(&p->x, &u, &power);
    edgert_field_multiply(&power, &power, &v);
    edgert_field_multiply(&power, &power, &p->x);
    edgert_field_root_power(&power, &power);
    edgert_field_multiply(&p->x, &p->x, &power);
    edgert_field_multiply(&power, &p->x, &p->x);
    edgert_field_multiply(&power, &power, &v);
    if (!edgert_field_is_equal(&power, &u)) {
        edgert_field_multiply(&p->x, &p->x, &root_of_minus_one);
        edgert_field_multiply(&power, &p->x, &p->x);
        edgert_field_multiply(&power, &power, &v);
    }
    const bool is_root = edgert_field_is_equal(&power, &u);
    if (edgert_field_is_odd(&p->x) != is_odd) {
        edgert_field_subtract(&p->x, &(edgert_field){{0u}}, &p->x);
    }
    edgert_field_multiply(&p->t, &p->x, &p->y);
    edgert_field_pack(canonical, &p->y);
    canonical[31] |= (uint8_t)(edgert_field_is_odd(&p->x) ? 0x80u : 0u);
    return is_root && memcmp(canonical, bytes, sizeof canonical) == 0;
}

static void encode(uint8_t bytes[EDGERT_FIELD_BYTES], const point *p) {
    edgert_field inverse, coordinate;
    edgert_field_invert(&inverse, &p->z);
    edgert_field_multiply(&coordinate, &p->x, &inverse);
    const bool is_odd = edgert_field_is_odd(&coordinate);
    edgert_field_multiply(&coordinate, &p->y, &inverse);
    edgert_field_pack(bytes, &coordinate);
    bytes[31] |= (uint8_t)(is_odd ? 0x80u : 0u);
}

static void negate(point *p) {
    static const edgert_field zero = {{0u}};
    edgert_field_subtract(&p->x, &zero, &p->x);
    edgert_field_subtract(&p->t, &zero, &p->t);
}

/* Eight times a point of small order is the neutral one: x = 0, y = z. */
static bool has_small_order(const point *p) {
    point multiple = *p;
    for (uint32_t i = 0u; i < 3u; ++i) {
        twice(&multiple, &multiple);
    }
    return edgert_field_is_equal(&multiple.y, &multiple.z) && edgert_field_is_equal(&multiple.x, &neutral.x);
}

/* Take the order away where it is not larger; false where it is. */
static bool take_order(uint32_t scalar[WORDS]) {
    uint32_t rest[WORDS];
    uint64_t borrow = 0u;
    for (uint32_t i = 0u; i < WORDS; ++i) {
        borrow = (uint64_t)scalar[i] - order[i] - borrow;
        rest[i] = (uint32_t)borrow;
        borrow = borrow >> 63;
    }
    if (borrow != 0u) {
        return false;
    }
    memcpy(scalar, rest, sizeof rest);
    return true;
}

/* The rest of a number of 512 bits by the order, bit by bit from the front. */
static void reduce(uint32_t scalar[WORDS], const uint8_t number[EDGERT_SHA512_BYTES]) {
    memset(scalar, 0, WORDS * sizeof scalar[0]);
    for (uint32_t bit = 8u * EDGERT_SHA512_BYTES; bit > 0u; --bit) {
        uint32_t carry = (uint32_t)number[(bit - 1u) / 8u] >> ((bit - 1u) % 8u) & 1u;
        for (uint32_t i = 0u; i < WORDS; ++i) {
            const uint32_t top = scalar[i] >> 31;
            scalar[i] = scalar[i] << 1 | carry;
            carry = top;
        }
        (void)take_order(scalar);
    }
}

static uint32_t bit_of(const uint32_t scalar[WORDS], uint32_t bit) {
    return scalar[bit / 32u] >> (bit % 32u) & 1u;
}

/* a base + b point, both bit by bit on one run of doublings (Straus). */
static void multiply(point *sum, const uint32_t a[WORDS], const uint32_t b[WORDS], const point *p) {
    point both;
    add(&both, &base, p);
    const point *const terms[4] = {NULL, &base, p, &both};
    *sum = neutral;
    for (uint32_t bit = SCALAR_BITS; bit > 0u; --bit) {
        const point *term = terms[bit_of(a, bit - 1u) + 2u * bit_of(b, bit - 1u)];
        twice(sum, sum);
        if (term != NULL) {
            add(sum, sum, term);
        }
    }
}

/* R || key || message, modulo the order (RFC 8032, 5.1.7). */
static void challenge(uint32_t scalar[WORDS], const uint8_t *signature, const uint8_t *message, uint32_t count,
                      const uint8_t *key) {
    edgert_sha512 hash;
    uint8_t digest[EDGERT_SHA512_BYTES];
    edgert_sha512_begin(&hash);
    edgert_sha512_add(&hash, signature, EDGERT_FIELD_BYTES);
    edgert_sha512_add(&hash, key, EDGERT_ED25519_KEY_BYTES);
    edgert_sha512_add(&hash, message, count);
    edgert_sha512_end(&hash, digest);
    reduce(scalar, digest);
}

bool edgert_ed25519_verify(const uint8_t signature[EDGERT_ED25519_SIGNATURE_BYTES], const uint8_t *message,
                           uint32_t count, const uint8_t key[EDGERT_ED25519_KEY_BYTES]) {
    uint32_t s[WORDS], k[WORDS];
    uint8_t r[EDGERT_FIELD_BYTES];
    point p, sum;
    for (uint32_t i = 0u; i < WORDS; ++i) {
        s[i] = edgert_get(&signature[EDGERT_FIELD_BYTES + 4u * i], 4u);
    }
    if (take_order(s) || !decode(&p, key) || has_small_order(&p)) {
        return false;
    }
    challenge(k, signature, message, count, key);
    negate(&p);
    multiply(&sum, s, k, &p);
    encode(r, &sum);
    return memcmp(r, signature, sizeof r) == 0;
}
