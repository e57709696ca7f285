/* A program whose network asks for pinned threads: two of them tell on which cores they may run. Exits with 0 when each may
 * on one, and not on the same; with 77 where the process has only one core; with another number otherwise. */
#include <stdint.h>

#include "edgert.h"
#include "edgert_parallel.h"
#include "port.h"
#include "system.h"

enum { WORDS = 16, ONLY_ONE_CORE = 77 };

const edgert_network edgert_installed_network = {.pins = 1u};

static uint64_t cores[2][WORDS];
static uint32_t first_came, second_came;

static void read_cores(uint64_t *mask) {
    (void)edgert_system_call(CALL_GET_CORES, 0, WORDS * sizeof *mask, (long)mask, 0, 0, 0);
}

/* Turn 0 waits for turn 1, which another thread therefore computes. */
static void tell(uint32_t first, uint32_t last, void *context) {
    (void)context;
    for (uint32_t turn = first; turn < last; ++turn) {
        read_cores(cores[turn]);
        __atomic_store_n(turn == 0u ? &first_came : &second_came, 1u, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(turn == 0u ? &second_came : &first_came, __ATOMIC_SEQ_CST) == 0u) {
        }
    }
}

static uint32_t count(const uint64_t *mask) {
    uint32_t bits = 0u;
    for (uint32_t bit = 0u; bit < WORDS * 64u; ++bit) {
        bits += (mask[bit / 64u] >> (bit % 64u)) & 1u ? 1u : 0u;
    }
    return bits;
}

int main(void) {
    static uint64_t before[WORDS];
    read_cores(before);
    if (count(before) < 2u) {
        return ONLY_ONE_CORE;
    }
    if (!edgert_port_use_threads(2u)) {
        return 1;
    }
    edgert_split(tell, (void *)0, 2u);
    if (count(cores[0]) != 1u || count(cores[1]) != 1u) {
        return 2;
    }
    for (uint32_t word = 0u; word < WORDS; ++word) {
        if ((cores[0][word] & cores[1][word]) != 0u || ((cores[0][word] | cores[1][word]) & ~before[word]) != 0u) {
            return 3;
        }
    }
    return 0;
}
