/* Which network the firmware serves: where main.c asks. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bytes.h"
#include "flash.h"
#include "image.h"
#include "install.h"
#include "state.h"

/* The network behind a slot's entry, or NULL when it is not the one that its header names. */
static const edgert_network *start(uint32_t slot) {
    uint8_t field[4];
    uint8_t build_id[EDGERT_BUILD_ID_BYTES];
    const uint32_t origin = edgert_flash_geometry()->slot_origin[slot];
    edgert_flash_read(origin + EDGERT_HEADER_ENTRY, field, sizeof field);
    edgert_flash_read(origin + EDGERT_HEADER_BUILD_ID, build_id, sizeof build_id);
    const edgert_slot_entry entry = (edgert_slot_entry)(uintptr_t)edgert_get(field, sizeof field);
    const edgert_network *network = entry();
    return network != NULL && memcmp(network->build_id, build_id, sizeof build_id) == 0 ? network : NULL;
}

const edgert_network *edgert_slots_choose(void) {
    const edgert_network *network = NULL;
    uint32_t passed = 0u;
    edgert_install_forget();
    while (network == NULL) {
        const uint32_t slot = edgert_slot_pick(passed);
        network = slot == EDGERT_SLOT_NONE ? &edgert_installed_network : start(slot);
        passed |= slot == EDGERT_SLOT_NONE ? 0u : 1u << slot;
    }
    return network;
}
