/* A thread of the pool overflows its stack. The program starts anew with the record of that, and exits with its kind. */
#include <stddef.h>
#include <stdint.h>

#include "edgert_parallel.h"
#include "fault.h"
#include "port.h"

/* Each call keeps its array alive until the next one has returned. */
static uint32_t overflow(volatile uint32_t *caller) {
    volatile uint32_t own[256];
    own[0] = caller[0] + 1u;
    return overflow(own) + own[0];
}

static void fall(uint32_t first, uint32_t last, void *context) {
    if (first != 0u) {
        *(uint32_t *)context = overflow(&last);
    }
}

int main(void) {
    uint32_t sink = 0u;
    edgert_port_start();
    const edgert_fault_record *record = edgert_fault_find();
    if (record != NULL) {
        return (int)record->kind;
    }
    if (edgert_port_use_threads(2u)) {
        edgert_split(fall, &sink, 2u);
    }
    return 0;
}
