/* A compiled network inside a program of your own: lib/libmodel.a or lib/libmodel.so of a bundle.
 *
 *     edgecompress_tensor image, scores;
 *     edgecompress_input(0, &image);
 *     edgecompress_output(0, &scores);
 *     memcpy(image.data, pixels, image.bytes);
 *     edgecompress_run();
 *     use((const float *)scores.data);
 *
 * The network works in one static arena: one inference at a time, from one thread at a time. It allocates nothing, calls
 * nothing but memcpy, memmove and memset, and computes the bytes that the bundle's test vectors show. A program takes one
 * libmodel.a; for several networks load each one's libmodel.so (dlopen with RTLD_LOCAL). */
#ifndef EDGECOMPRESS_H
#define EDGECOMPRESS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EDGECOMPRESS_MAX_RANK 4
#define EDGECOMPRESS_API __attribute__((visibility("default")))

typedef enum {
    EDGECOMPRESS_FLOAT32 = 0,
    EDGECOMPRESS_INT8 = 1,
    EDGECOMPRESS_UINT8 = 2,
    EDGECOMPRESS_INT16 = 3,
    EDGECOMPRESS_INT32 = 4,
    EDGECOMPRESS_INT64 = 5,
    EDGECOMPRESS_BOOL = 6
} edgecompress_type;

/* An input or output: its first `rank` extents, the last one innermost in memory, and its `bytes` at `data`, aligned to
 * 16. An integer q means scale * (q - zero_point); without quantization `scale` is 0. */
typedef struct {
    const char *name;
    edgecompress_type type;
    uint32_t rank;
    uint32_t shape[EDGECOMPRESS_MAX_RANK];
    float scale;
    int32_t zero_point;
    uint32_t bytes;
    void *data;
} edgecompress_tensor;

EDGECOMPRESS_API uint32_t edgecompress_inputs(void);
EDGECOMPRESS_API uint32_t edgecompress_outputs(void);

/* Describe an input or output. False, and `tensor` untouched, when there is none of that number. */
EDGECOMPRESS_API bool edgecompress_input(uint32_t number, edgecompress_tensor *tensor);
EDGECOMPRESS_API bool edgecompress_output(uint32_t number, edgecompress_tensor *tensor);

/* Run one inference. Write all inputs before each one: where the bundle's manifest says "keeps_inputs": false, other
 * tensors take their place. Outputs stay until the next inference. */
EDGECOMPRESS_API void edgecompress_run(void);

/* Spread layers over threads of your own. `splitter` calls `work` for ranges that together are 0 .. count - 1, on as many
 * threads as it likes, and returns when all are done; the results do not depend on the ranges. NULL: this thread alone. */
typedef void (*edgecompress_work)(uint32_t first, uint32_t last, void *context);
typedef void (*edgecompress_splitter)(edgecompress_work work, void *context, uint32_t count);
EDGECOMPRESS_API void edgecompress_use_splitter(edgecompress_splitter splitter);

#ifdef __cplusplus
}
#endif

#endif
