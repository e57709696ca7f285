/* What compilers call by themselves, and what src/ needs of string.h. An empty statement in each loop keeps the compiler
 * from recognising the function and calling it from within itself. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NOT_A_CALL __asm__ volatile("" ::: "memory")

int bcmp(const void *one, const void *other, size_t count);

/* Sixteen bytes at any address; the compiler knows which instructions may read them. */
typedef uint64_t word __attribute__((vector_size(16), may_alias, aligned(1)));

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    uint8_t *out = to;
    const uint8_t *in = from;
    for (; count >= sizeof(word); count -= sizeof(word)) {
        *(word *)(void *)out = *(const word *)(const void *)in;
        out += sizeof(word);
        in += sizeof(word);
        NOT_A_CALL;
    }
    for (; count > 0u; --count) {
        *out++ = *in++;
        NOT_A_CALL;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)out - (uintptr_t)in >= count) {
        return memcpy(to, from, count);
    }
    while (count > 0u) {
        --count;
        out[count] = in[count];
        NOT_A_CALL;
    }
    return to;
}

void *memset(void *to, int value, size_t count) {
    const uint64_t half = (uint8_t)value * UINT64_C(0x0101010101010101);
    const word repeated = {half, half};
    uint8_t *out = to;
    for (; count >= sizeof(word); count -= sizeof(word)) {
        *(word *)(void *)out = repeated;
        out += sizeof(word);
        NOT_A_CALL;
    }
    for (; count > 0u; --count) {
        *out++ = (uint8_t)value;
        NOT_A_CALL;
    }
    return to;
}

int memcmp(const void *one, const void *other, size_t count) {
    const uint8_t *a = one;
    const uint8_t *b = other;
    for (; count > 0u && *a == *b; --count) {
        ++a;
        ++b;
        NOT_A_CALL;
    }
    return count == 0u ? 0 : *a - *b;
}

/* What clang makes of a memcmp that is only asked whether it is zero. */
int bcmp(const void *one, const void *other, size_t count) {
    return memcmp(one, other, count);
}

size_t strlen(const char *text) {
    size_t length = 0u;
    while (text[length] != '\0') {
        ++length;
        NOT_A_CALL;
    }
    return length;
}
