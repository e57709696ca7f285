#include "stack.h"

#define PAINT 0xC5A1E57Au

/* volatile: the compiler must neither call memset, whose frame would be painted over, nor drop the stores. */
void edgert_stack_paint(uint32_t *low, const uint32_t *high) {
    for (volatile uint32_t *word = low; word < high; ++word) {
        *word = PAINT;
    }
}

uint32_t edgert_stack_used(const uint32_t *low, const uint32_t *top) {
    const volatile uint32_t *word = low;
    while (word < top && *word == PAINT) {
        ++word;
    }
    return (uint32_t)(top - word) * (uint32_t)sizeof(uint32_t);
}
