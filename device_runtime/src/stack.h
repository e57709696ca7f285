/* The painted stack: fill what is free at start-up, see later how much of the paint is left. */
#ifndef EDGERT_STACK_H
#define EDGERT_STACK_H

#include <stdint.h>

/* Paint the words from `low` up to, not including, `high`. */
void edgert_stack_paint(uint32_t *low, const uint32_t *high);

/* How many bytes below `top` have been used: from the lowest word that lost its paint. `low` is where the paint began. */
uint32_t edgert_stack_used(const uint32_t *low, const uint32_t *top);

#endif
