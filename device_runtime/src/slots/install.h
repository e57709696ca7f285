/* Installing an image into the slot that does not run: begin, write in order, finish. */
#ifndef EDGERT_INSTALL_H
#define EDGERT_INSTALL_H

#include <stdint.h>

#include "protocol.h"
#include "sha256.h"
#include "slots.h"

/* Forget an image that was begun; what lies in the flash stays. */
void edgert_install_forget(void);

/* Check the header and make room for its image: nothing is erased before everything is right, nothing that holds this
 * image already is erased or written again. `state` is what the slot then holds, BEGUN or INSTALLED; `held` how much of
 * the payload. */
edgert_status edgert_install_begin(const uint8_t header[EDGERT_SLOT_HEADER_BYTES], edgert_slot_state *state,
                                   uint32_t *held);

/* Write the payload's next bytes, or compare bytes that are held already. */
edgert_status edgert_install_write(uint32_t offset, const uint8_t *bytes, uint32_t count, uint32_t *held);

/* Hash what the flash holds; if that is what was signed, let it start. */
edgert_status edgert_install_finish(uint8_t digest[EDGERT_SHA256_BYTES]);

#endif
