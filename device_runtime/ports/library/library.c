#include "edgecompress.h"

#include <stddef.h>
#include <string.h>

#include "edgert.h"
#include "edgert_parallel.h"

_Static_assert(EDGECOMPRESS_MAX_RANK == EDGERT_MAX_RANK, "shapes");
_Static_assert(EDGECOMPRESS_FLOAT32 == (int)EDGERT_FLOAT32 && EDGECOMPRESS_BOOL == (int)EDGERT_BOOL, "types");
_Static_assert(sizeof(float) == sizeof(uint32_t), "the scale's bits");

static edgecompress_splitter own_splitter;

static bool describe(const edgert_tensor *known, uint32_t count, uint32_t number, edgecompress_tensor *tensor) {
    if (number >= count) {
        return false;
    }
    known += number;
    *tensor = (edgecompress_tensor){
        .name = known->name,
        .type = (edgecompress_type)known->dtype,
        .rank = known->rank,
        .zero_point = known->zero_point,
        .bytes = known->bytes,
        .data = known->data,
    };
    memcpy(tensor->shape, known->shape, sizeof tensor->shape);
    memcpy(&tensor->scale, &known->scale_bits, sizeof tensor->scale);
    return true;
}

uint32_t edgecompress_inputs(void) {
    return edgert_installed_network.inputs;
}

uint32_t edgecompress_outputs(void) {
    return edgert_installed_network.outputs;
}

bool edgecompress_input(uint32_t number, edgecompress_tensor *tensor) {
    return describe(edgert_installed_network.input, edgert_installed_network.inputs, number, tensor);
}

bool edgecompress_output(uint32_t number, edgecompress_tensor *tensor) {
    return describe(edgert_installed_network.output, edgert_installed_network.outputs, number, tensor);
}

void edgecompress_run(void) {
    edgert_installed_network.run();
}

void edgecompress_use_splitter(edgecompress_splitter splitter) {
    own_splitter = splitter;
}

void edgert_split(edgert_work work, void *context, uint32_t count) {
    if (own_splitter != NULL) {
        own_splitter(work, context, count);
    } else if (count != 0u) {
        work(0u, count, context);
    }
}
