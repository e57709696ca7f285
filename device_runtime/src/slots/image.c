#include "image.h"

#include <string.h>

#include "bytes.h"
#include "ed25519.h"
#include "flash.h"

enum { RESERVED_AT = EDGERT_HEADER_FLAGS, CHUNK = 64 };

static uint32_t word_of(const uint8_t *header, uint32_t at) {
    return edgert_get(&header[at], 4u);
}

uint32_t edgert_image_largest_payload(void) {
    return edgert_flash_geometry()->slot_bytes - EDGERT_SLOT_HEADER_BYTES - EDGERT_SLOT_TRAILER_BYTES;
}

uint32_t edgert_image_payload(uint32_t slot) {
    return edgert_flash_geometry()->slot_origin[slot] + EDGERT_SLOT_HEADER_BYTES;
}

static bool is_zero(const uint8_t *bytes, uint32_t count) {
    uint8_t any = 0u;
    for (uint32_t i = 0u; i < count; ++i) {
        any |= bytes[i];
    }
    return any == 0u;
}

/* Flags and what is not used yet are zeros, so that a later version can give them a meaning. */
static bool is_well_formed(const uint8_t *header) {
    return word_of(header, EDGERT_HEADER_MAGIC) == EDGERT_SLOT_MAGIC &&
           edgert_get(&header[EDGERT_HEADER_LENGTH], 2u) == EDGERT_SLOT_HEADER_BYTES &&
           is_zero(&header[RESERVED_AT], EDGERT_SLOT_SIGNED_BYTES - RESERVED_AT);
}

/* The entry is a Thumb function: bit 0 says so and is not part of its address. */
static bool enters_payload(const uint8_t *header, uint32_t slot) {
    const uint32_t entry = word_of(header, EDGERT_HEADER_ENTRY);
    const uint32_t address = entry & ~1u;
    const uint32_t begin = edgert_image_payload(slot);
    return address != entry && address >= begin && address - begin < word_of(header, EDGERT_HEADER_PAYLOAD_BYTES);
}

static bool keeps_to_its_ram(const uint8_t *header) {
    const edgert_flash_layout *layout = edgert_flash_geometry();
    const uint32_t origin = word_of(header, EDGERT_HEADER_RAM_ORIGIN);
    const uint32_t count = word_of(header, EDGERT_HEADER_RAM_BYTES);
    return origin >= layout->ram_origin && origin - layout->ram_origin <= layout->ram_bytes &&
           count <= layout->ram_bytes - (origin - layout->ram_origin);
}

static bool is_for_this_target(const uint8_t *header) {
    char name[EDGERT_SLOT_TARGET_BYTES] = {0};
    const char *target = edgert_installed_network.target;
    for (uint32_t i = 0u; i < EDGERT_SLOT_TARGET_BYTES && target[i] != '\0'; ++i) {
        name[i] = target[i];
    }
    return memcmp(name, &header[EDGERT_HEADER_TARGET], sizeof name) == 0;
}

/* The signature last: it takes longest. */
edgert_status edgert_image_check(const uint8_t header[EDGERT_SLOT_HEADER_BYTES], uint32_t slot) {
    const uint32_t payload_bytes = word_of(header, EDGERT_HEADER_PAYLOAD_BYTES);
    if (!is_well_formed(header)) {
        return EDGERT_STATUS_SLOT_BAD_HEADER;
    }
    if (edgert_get(&header[EDGERT_HEADER_INTERFACE], 2u) != EDGERT_SLOT_INTERFACE) {
        return EDGERT_STATUS_SLOT_WRONG_VERSION;
    }
    if (payload_bytes == 0u || payload_bytes > edgert_image_largest_payload()) {
        return EDGERT_STATUS_SLOT_BAD_SIZE;
    }
    if (word_of(header, EDGERT_HEADER_ADDRESS) != edgert_flash_geometry()->slot_origin[slot]) {
        return EDGERT_STATUS_SLOT_WRONG_ADDRESS;
    }
    if (!enters_payload(header, slot)) {
        return EDGERT_STATUS_SLOT_BAD_ENTRY;
    }
    if (!keeps_to_its_ram(header)) {
        return EDGERT_STATUS_SLOT_WRONG_RAM;
    }
    if (!is_for_this_target(header)) {
        return EDGERT_STATUS_SLOT_WRONG_TARGET;
    }
    const bool is_signed =
        edgert_ed25519_verify(&header[EDGERT_HEADER_SIGNATURE], header, EDGERT_SLOT_SIGNED_BYTES, edgert_slot_key);
    return is_signed ? EDGERT_STATUS_OK : EDGERT_STATUS_SLOT_BAD_SIGNATURE;
}

void edgert_image_hash(uint32_t slot, uint32_t payload_bytes, uint8_t digest[EDGERT_SHA256_BYTES]) {
    edgert_sha256 hash;
    uint8_t chunk[CHUNK];
    edgert_sha256_begin(&hash);
    for (uint32_t at = 0u; at < payload_bytes; at += CHUNK) {
        const uint32_t count = payload_bytes - at < CHUNK ? payload_bytes - at : CHUNK;
        edgert_flash_read(edgert_image_payload(slot) + at, chunk, count);
        edgert_sha256_add(&hash, chunk, count);
    }
    edgert_sha256_end(&hash, digest);
}

bool edgert_image_holds(const uint8_t header[EDGERT_SLOT_HEADER_BYTES], uint32_t slot) {
    uint8_t digest[EDGERT_SHA256_BYTES];
    edgert_image_hash(slot, word_of(header, EDGERT_HEADER_PAYLOAD_BYTES), digest);
    return memcmp(digest, &header[EDGERT_HEADER_HASH], sizeof digest) == 0;
}
