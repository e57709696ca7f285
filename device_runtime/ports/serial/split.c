/* Where there is one thread, a layer has one part. */
#include "edgert_parallel.h"

void edgert_split(edgert_work work, void *context, uint32_t count) {
    if (count != 0u) {
        work(0u, count, context);
    }
}
