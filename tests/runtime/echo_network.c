/* A network of one layer that changes every byte of a long input, to see that transfers arrive whole. */
#include "edgert.h"

#define BYTES 4096u
#define CHANGE 0x5A

static int8_t arena[2u * BYTES];

static void change(uint32_t layer) {
    (void)layer;
    for (uint32_t i = 0u; i < BYTES; ++i) {
        arena[BYTES + i] = (int8_t)(arena[i] ^ CHANGE);
    }
}

static void run(void) {
    change(0u);
}

static const edgert_tensor inputs[] = {{"bytes", EDGERT_INT8, 2u, {1u, BYTES}, 0u, 0, BYTES, &arena[0]}};
static const edgert_tensor outputs[] = {{"changed", EDGERT_INT8, 2u, {1u, BYTES}, 0u, 0, BYTES, &arena[BYTES]}};

const edgert_network edgert_installed_network = {{0u}, TOY_TARGET, 1u,      1u,  1u,    sizeof arena,
                                                 0u,   inputs,     outputs, run, change};
