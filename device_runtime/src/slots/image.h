/* A slot's image: its header of 256 bytes, and the payload behind it (docs/slots.md). */
#ifndef EDGERT_IMAGE_H
#define EDGERT_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"
#include "sha256.h"
#include "slots.h"

/* Where a header holds what. */
enum {
    EDGERT_HEADER_MAGIC = 0,
    EDGERT_HEADER_INTERFACE = 4,
    EDGERT_HEADER_LENGTH = 6,
    EDGERT_HEADER_PAYLOAD_BYTES = 8,
    EDGERT_HEADER_ADDRESS = 12,
    EDGERT_HEADER_ENTRY = 16,
    EDGERT_HEADER_RAM_ORIGIN = 20,
    EDGERT_HEADER_RAM_BYTES = 24,
    EDGERT_HEADER_BUILD_ID = 28,
    EDGERT_HEADER_HASH = 44,
    EDGERT_HEADER_TARGET = 76,
    EDGERT_HEADER_FLAGS = 108,
    EDGERT_HEADER_SIGNATURE = 192
};

/* Whether this header may stand in this slot of this firmware: every field, and the signature. OK, or what is wrong. */
edgert_status edgert_image_check(const uint8_t header[EDGERT_SLOT_HEADER_BYTES], uint32_t slot);

/* As many bytes as fit between header and trailer. */
uint32_t edgert_image_largest_payload(void);

/* Where in the flash the payload lies. */
uint32_t edgert_image_payload(uint32_t slot);

/* SHA-256 of what the flash holds there. */
void edgert_image_hash(uint32_t slot, uint32_t payload_bytes, uint8_t digest[EDGERT_SHA256_BYTES]);

/* Whether the slot's payload is what the header was signed for. */
bool edgert_image_holds(const uint8_t header[EDGERT_SLOT_HEADER_BYTES], uint32_t slot);

#endif
