/* The host reference: reads samples on stdin, each all inputs one after the other, raw; writes all outputs of each to
 * stdout until the input ends. Every device must reproduce these bytes. Unlike the other ports it has no protocol, and
 * it alone may use stdio. */
#include <stdio.h>

#include "edgert.h"

typedef enum { SAMPLE_WHOLE, SAMPLE_NONE, SAMPLE_CUT } sample_state;

static sample_state read_sample(const edgert_network *network) {
    for (uint32_t i = 0; i < network->inputs; ++i) {
        const edgert_tensor *tensor = &network->input[i];
        const size_t count = fread(tensor->data, 1, tensor->bytes, stdin);
        if (count == 0 && i == 0) {
            return SAMPLE_NONE;
        }
        if (count != tensor->bytes) {
            return SAMPLE_CUT;
        }
    }
    return SAMPLE_WHOLE;
}

static int write_outputs(const edgert_network *network) {
    for (uint32_t i = 0; i < network->outputs; ++i) {
        const edgert_tensor *tensor = &network->output[i];
        if (fwrite(tensor->data, 1, tensor->bytes, stdout) != tensor->bytes) {
            return 1;
        }
    }
    return 0;
}

int main(void) {
    const edgert_network *network = &edgert_installed_network;
    sample_state state = read_sample(network);
    while (state == SAMPLE_WHOLE) {
        network->run();
        if (write_outputs(network) != 0) {
            fputs("cannot write the outputs\n", stderr);
            return 1;
        }
        state = read_sample(network);
    }
    if (state == SAMPLE_CUT) {
        fputs("the last sample is cut short\n", stderr);
        return 1;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
