/* A program without a C library that divides. On cores without such an instruction the compiler calls division_arm.c.
 * Exits with 0, or with 1 for a wrong unsigned and 2 for a wrong signed result. */
#include <stdbool.h>
#include <stdint.h>

static const uint32_t numbers[] = {0u,          1u,          2u,          3u,          7u,          10u,
                                   127u,        128u,        255u,        65535u,      65536u,      1000000007u,
                                   0x7FFFFFFEu, 0x7FFFFFFFu, 0x80000000u, 0x80000001u, 0xFFFFFF00u, 0xFFFFFFFFu};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static bool is_unsigned_right(uint32_t n, uint32_t d) {
    const uint32_t quotient = n / d;
    const uint32_t rest = n % d;
    return rest < d && (uint64_t)quotient * d + rest == n;
}

/* Division rounds towards 0: the remainder has the numerator's sign (C11, 6.5.5). */
static bool is_signed_right(int32_t n, int32_t d) {
    const int32_t quotient = n / d;
    const int32_t rest = n % d;
    const int64_t size = rest < 0 ? -(int64_t)rest : rest;
    const int64_t limit = d < 0 ? -(int64_t)d : d;
    const bool sign_is_right = rest == 0 || (rest < 0) == (n < 0);
    return size < limit && sign_is_right && (int64_t)quotient * d + rest == n;
}

int main(void) {
    for (uint32_t i = 0u; i < NUMBERS; ++i) {
        for (uint32_t j = 1u; j < NUMBERS; ++j) {
            const int32_t n = (int32_t)numbers[i];
            const int32_t d = (int32_t)numbers[j];
            if (!is_unsigned_right(numbers[i], numbers[j])) {
                return 1;
            }
            if (!(n == INT32_MIN && d == -1) && !is_signed_right(n, d)) {
                return 2;
            }
        }
    }
    return 0;
}
