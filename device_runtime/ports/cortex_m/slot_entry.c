/* Where the firmware enters a slot image (docs/slots.md): makes its memory ready and hands over its network. */
#include "edgert.h"

extern uint32_t __edgert_data_start[], __edgert_data_end[], __edgert_bss_start[], __edgert_bss_end[];
extern const uint32_t __edgert_data_source[];

const edgert_network *edgert_slot_start(void);

/* volatile keeps the compiler from making calls of memcpy and memset. */
const edgert_network *edgert_slot_start(void) {
    const uint32_t *from = __edgert_data_source;
    for (volatile uint32_t *to = __edgert_data_start; to < __edgert_data_end; ++to) {
        *to = *from;
        ++from;
    }
    for (volatile uint32_t *to = __edgert_bss_start; to < __edgert_bss_end; ++to) {
        *to = 0u;
    }
    return &edgert_installed_network;
}
