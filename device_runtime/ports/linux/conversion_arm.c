/* Between float and int64: Armv7 has no instruction for either, and this program no libgcc (see division_arm.c). */
#if defined(__arm__)
#include <stdint.h>
#include <string.h>

#define FRACTION_BITS 23u
#define EXPONENT_BIAS 127u
#define FRACTION_MASK 0x7fffffu

/* Names and the passing of floats in core registers: Run-time ABI for the Arm Architecture, sections 4.1.2 and 4.1.1. */
__attribute__((pcs("aapcs"))) int64_t __aeabi_f2lz(float value);
__attribute__((pcs("aapcs"))) float __aeabi_l2f(int64_t value);

/* Round towards zero. What int64 cannot hold gives its largest or smallest number, what is no number the largest. */
__attribute__((pcs("aapcs"))) int64_t __aeabi_f2lz(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint32_t exponent = (bits >> FRACTION_BITS) & 0xffu;
    const uint64_t fraction = (bits & FRACTION_MASK) | (FRACTION_MASK + 1u);
    uint64_t size = 0u;
    if (exponent >= EXPONENT_BIAS + 63u) {
        return (bits >> 31) != 0u ? INT64_MIN : INT64_MAX;
    }
    if (exponent >= EXPONENT_BIAS + FRACTION_BITS) {
        size = fraction << (exponent - EXPONENT_BIAS - FRACTION_BITS);
    } else if (exponent >= EXPONENT_BIAS) {
        size = fraction >> (EXPONENT_BIAS + FRACTION_BITS - exponent);
    }
    return (int64_t)((bits >> 31) != 0u ? 0u - size : size);
}

/* Round to the nearest float, of two equally near ones to the even one. */
__attribute__((pcs("aapcs"))) float __aeabi_l2f(int64_t value) {
    uint64_t size = value < 0 ? 0u - (uint64_t)value : (uint64_t)value;
    uint32_t bits = value < 0 ? 1u << 31 : 0u;
    uint32_t exponent = EXPONENT_BIAS + 63u;
    float result;
    if (size != 0u) {
        for (; (size >> 63) == 0u; size <<= 1) {
            --exponent;
        }
        const uint32_t dropped = 63u - FRACTION_BITS;
        const uint64_t rest = size & ((UINT64_C(1) << dropped) - 1u);
        const uint64_t half = UINT64_C(1) << (dropped - 1u);
        const uint32_t fraction = (uint32_t)(size >> dropped);
        const uint32_t up = rest > half || (rest == half && (fraction & 1u) != 0u) ? 1u : 0u;
        /* A fraction that overflows is the next power of two: the carry goes into the exponent. */
        bits |= (exponent << FRACTION_BITS) + (fraction & FRACTION_MASK) + up;
    }
    memcpy(&result, &bits, sizeof result);
    return result;
}
#endif
