/* The one public header of the device runtime.
 *
 * A generated network hands the runtime an `edgert_network` (network.c of a bundle); the runtime serves it over
 * the wire protocol (docs/protocol.md) through the port (ports/NAME/port.c behind src/port.h).
 */
#ifndef EDGERT_H
#define EDGERT_H

#include <stdint.h>

#define EDGERT_BUILD_ID_BYTES 16u
#define EDGERT_MAX_RANK 4u

enum edgert_dtype {
    EDGERT_FLOAT32 = 0,
    EDGERT_INT8 = 1,
    EDGERT_UINT8 = 2,
    EDGERT_INT16 = 3,
    EDGERT_INT32 = 4,
    EDGERT_INT64 = 5,
    EDGERT_BOOL = 6
};

/* One input or output. `scale_bits` is the bit pattern of the float32 scale, 0 when there is none. */
typedef struct {
    const char *name;
    uint8_t dtype;
    uint8_t rank;
    uint32_t shape[EDGERT_MAX_RANK];
    uint32_t scale_bits;
    int32_t zero_point;
    uint32_t bytes;
    void *data;
} edgert_tensor;

/* A compiled network. run() is one inference; run_layer(0) .. run_layer(layers - 1), in order, are the same one.
 * `pins` is 1 when each thread shall stay on a core of its own, where there is an operating system. */
typedef struct {
    uint8_t build_id[EDGERT_BUILD_ID_BYTES];
    const char *target;
    uint32_t inputs;
    uint32_t outputs;
    uint32_t layers;
    uint32_t arena_bytes;
    uint8_t pins;
    const edgert_tensor *input;
    const edgert_tensor *output;
    void (*run)(void);
    void (*run_layer)(uint32_t layer);
} edgert_network;

/* Defined by the generated network.c. */
extern const edgert_network edgert_installed_network;

/* Stand around each timed inference, never inlined: an outside tool can count the same window. */
void edgert_window_open(void);
void edgert_window_close(void);

#endif
