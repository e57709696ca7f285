/* The host reference: reads samples on stdin, each all inputs one after the other, raw; writes all outputs of each to
 * stdout until the input ends. Every device must reproduce these bytes. With `--layer N` it reads whole arenas, runs
 * only layer N on each, and writes them back. Unlike the other ports it has no protocol, and it alone may use stdio. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgert.h"
#include "read_weights.h"

/* Defined by the generated model.c. */
extern uint8_t model_arena[];

typedef enum { READ_WHOLE, READ_NONE, READ_CUT } read_state;

static read_state read_bytes(void *data, uint32_t bytes) {
    const size_t count = fread(data, 1, bytes, stdin);
    if (count == bytes) {
        return READ_WHOLE;
    }
    return count == 0 ? READ_NONE : READ_CUT;
}

static read_state read_sample(const edgert_network *network) {
    for (uint32_t i = 0; i < network->inputs; ++i) {
        const read_state state = read_bytes(network->input[i].data, network->input[i].bytes);
        if (state != READ_WHOLE) {
            return i == 0 ? state : READ_CUT;
        }
    }
    return READ_WHOLE;
}

static int write_bytes(const void *data, uint32_t bytes) {
    if (fwrite(data, 1, bytes, stdout) != bytes) {
        fputs("cannot write the outputs\n", stderr);
        return 1;
    }
    return 0;
}

static int write_outputs(const edgert_network *network) {
    for (uint32_t i = 0; i < network->outputs; ++i) {
        if (write_bytes(network->output[i].data, network->output[i].bytes) != 0) {
            return 1;
        }
    }
    return 0;
}

static int finish(read_state state) {
    if (state == READ_CUT) {
        fputs("the last sample is cut short\n", stderr);
        return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

static int run_samples(const edgert_network *network) {
    read_state state = read_sample(network);
    while (state == READ_WHOLE) {
        network->run();
        if (write_outputs(network) != 0) {
            return 1;
        }
        state = read_sample(network);
    }
    return finish(state);
}

static int run_layer(const edgert_network *network, const char *number) {
    char *end = NULL;
    const unsigned long layer = strtoul(number, &end, 10);
    if (end == number || *end != '\0' || layer >= network->layers) {
        fprintf(stderr, "there is no layer %s\n", number);
        return 2;
    }
    read_state state = read_bytes(model_arena, network->arena_bytes);
    while (state == READ_WHOLE) {
        network->run_layer((uint32_t)layer);
        if (write_bytes(model_arena, network->arena_bytes) != 0) {
            return 1;
        }
        state = read_bytes(model_arena, network->arena_bytes);
    }
    return finish(state);
}

int main(int count, char **words) {
    const edgert_network *network = &edgert_installed_network;
    if (read_weights() != 0) {
        return 2;
    }
    if (count == 1) {
        return run_samples(network);
    }
    if (count == 3 && strcmp(words[1], "--layer") == 0) {
        return run_layer(network, words[2]);
    }
    fputs("usage: reference [--layer NUMBER]\n", stderr);
    return 2;
}
