/* Reads headers of slot images on stdin and begins to install each of them on a new flash: prints the status, and how often the flash
 * was erased or written. */
#include <stdio.h>

#include "install.h"
#include "nor.h"
#include "slot_host.h"

int main(void) {
    static const edgert_flash_layout layout = {{0x10000u, 0x10400u}, 0x400u, 0x100u, 8u, 0x20001000u, 0x1000u};
    uint8_t header[EDGERT_SLOT_HEADER_BYTES];
    while (fread(header, 1u, sizeof header, stdin) == sizeof header) {
        edgert_slot_state state = EDGERT_SLOT_STATE_EMPTY;
        uint32_t held = 0u;
        nor_start(&layout);
        edgert_install_forget();
        const edgert_status status = edgert_install_begin(header, &state, &held);
        (void)printf("%u %u\n", (unsigned)status, nor.operations);
    }
    return 0;
}
