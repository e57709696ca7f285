/* How a generated kernel spreads the work of one layer over the cores. */
#ifndef EDGERT_PARALLEL_H
#define EDGERT_PARALLEL_H

#include <stdint.h>

/* Computes the parts first .. last - 1 of a layer. It writes nothing that another part reads or writes, so that the
 * result is the same for every number of threads. */
typedef void (*edgert_work)(uint32_t first, uint32_t last, void *context);

/* Call `work` for ranges that together are 0 .. count - 1, in any order on any threads, and return when all are done.
 * `context` may lie on the caller's stack. Never called from within `work`. Where there are no threads (bare boards, the
 * host reference, the library without a splitter) this is work(0, count, context). */
void edgert_split(edgert_work work, void *context, uint32_t count);

#endif
