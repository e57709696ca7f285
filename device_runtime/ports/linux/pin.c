/* Threads that stay on a core of their own, as a target profile's `pin` asks for: what a thread has in its core's caches is
 * not lost to another core. The cores are those that the process may use, from the lowest number on. */
#include "pin.h"

#include <stdbool.h>

#include "edgert.h"
#include "system.h"

enum { MASK_BYTES = 128, BITS = 8, THIS_THREAD = 0 }; /* 1024 cores, as many as a C library's cpu_set_t has */

/* Programs that hold no network pin nothing. */
extern const edgert_network edgert_installed_network __attribute__((weak));

static _Alignas(long) uint8_t allowed[MASK_BYTES];
static long known; /* bytes of `allowed` that the kernel filled, or an error */

static bool asked_for(void) {
    return &edgert_installed_network != NULL && edgert_installed_network.pins != 0u;
}

void edgert_find_cores(void) {
    if (known == 0 && asked_for()) {
        known = edgert_system_call(CALL_GET_CORES, THIS_THREAD, MASK_BYTES, (long)allowed, 0, 0, 0);
    }
}

void edgert_pin(uint32_t thread) {
    if (!asked_for()) {
        return;
    }
    _Alignas(long) uint8_t own[MASK_BYTES] = {0};
    for (uint32_t core = 0u; (long)(core / BITS) < known; ++core) {
        const uint8_t bit = (uint8_t)(1u << core % BITS);
        if ((allowed[core / BITS] & bit) == 0u) {
            continue;
        }
        if (thread == 0u) {
            own[core / BITS] = bit;
            (void)edgert_system_call(CALL_SET_CORES, THIS_THREAD, MASK_BYTES, (long)own, 0, 0, 0);
            return;
        }
        --thread;
    }
}
