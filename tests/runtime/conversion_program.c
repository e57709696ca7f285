/* A program without a C library that converts between float and int64. On 32-bit Arm the compiler calls
 * conversion_arm.c. What the compiler folds is compared with what the core computes. Exits with 0, with 1 for a wrong
 * float, and with 2 for a wrong integer. */
#include <stdint.h>

#define INTEGERS(X) \
    X(0) \
    X(1) \
    X(-1) \
    X(16777215) \
    X(16777217) \
    X(16777219) \
    X(-33554431) \
    X(1099511627777) \
    X(-1099511693313) \
    X(9007199791611905) \
    X(9223371761976868863) \
    X(INT64_MAX) \
    X(INT64_MIN)

#define FLOATS(X) \
    X(0.0f) \
    X(-0.0f) \
    X(0.999f) \
    X(-0.999f) \
    X(1.0f) \
    X(-1.5f) \
    X(2147483648.0f) \
    X(8388607.5f) \
    X(-16777216.0f) \
    X(1e12f) \
    X(-9e18f) \
    X(1e-30f)

#define CHECK_FLOAT(number) \
    { \
        volatile int64_t value = number; \
        const int64_t kept = value; \
        if ((float)kept != (float)(int64_t)(number)) { \
            return 1; \
        } \
    }

#define CHECK_INTEGER(number) \
    { \
        volatile float value = number; \
        const float kept = value; \
        if ((int64_t)kept != (int64_t)(number)) { \
            return 2; \
        } \
    }

int main(void) {
    INTEGERS(CHECK_FLOAT)
    FLOATS(CHECK_INTEGER)
    return 0;
}
