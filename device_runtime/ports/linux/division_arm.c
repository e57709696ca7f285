/* Division: ARM1176, Cortex-A8 and A9 have no instruction for it, and the libgcc of Debian's compiler is made for Armv7. */
#if defined(__arm__)
#include <stdint.h>

/* Quotient in the low, remainder in the high word: r0 and r1, as the Run-time ABI for the Arm Architecture (section
 * 5.3.1) wants it. Long division, a bit at a time. */
uint64_t __aeabi_uidivmod(uint32_t numerator, uint32_t denominator);
uint64_t __aeabi_idivmod(int32_t numerator, int32_t denominator);
uint32_t __aeabi_uidiv(uint32_t numerator, uint32_t denominator);
int32_t __aeabi_idiv(int32_t numerator, int32_t denominator);

uint64_t __aeabi_uidivmod(uint32_t numerator, uint32_t denominator) {
    uint32_t quotient = 0u;
    uint32_t rest = 0u;
    for (uint32_t bit = 32u; bit-- > 0u && denominator != 0u;) {
        const uint32_t carry = rest >> 31;
        rest = rest << 1 | (numerator >> bit & 1u);
        if (carry != 0u || rest >= denominator) {
            rest -= denominator;
            quotient |= 1u << bit;
        }
    }
    return (uint64_t)rest << 32 | quotient;
}

static uint32_t magnitude(int32_t value) {
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

uint64_t __aeabi_idivmod(int32_t numerator, int32_t denominator) {
    const uint64_t both = __aeabi_uidivmod(magnitude(numerator), magnitude(denominator));
    const uint32_t quotient = (numerator < 0) != (denominator < 0) ? 0u - (uint32_t)both : (uint32_t)both;
    const uint32_t rest = numerator < 0 ? 0u - (uint32_t)(both >> 32) : (uint32_t)(both >> 32);
    return (uint64_t)rest << 32 | quotient;
}

uint32_t __aeabi_uidiv(uint32_t numerator, uint32_t denominator) {
    return (uint32_t)__aeabi_uidivmod(numerator, denominator);
}

int32_t __aeabi_idiv(int32_t numerator, int32_t denominator) {
    return (int32_t)(uint32_t)__aeabi_idivmod(numerator, denominator);
}
#endif
