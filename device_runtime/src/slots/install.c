#include "install.h"

#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "flash.h"
#include "image.h"
#include "marks.h"
#include "state.h"

/* The image that was begun since the device started. */
static bool is_begun;
static uint32_t slot;
static uint32_t held_bytes;
static uint8_t wanted[EDGERT_SLOT_HEADER_BYTES];

static uint32_t payload_bytes(void) {
    return edgert_get(&wanted[EDGERT_HEADER_PAYLOAD_BYTES], 4u);
}

static uint32_t origin(void) {
    return edgert_flash_geometry()->slot_origin[slot];
}

/* The slot's last sector, which holds the marks, as an offset in the slot. */
static uint32_t last_sector(void) {
    return edgert_flash_geometry()->slot_bytes - edgert_flash_geometry()->sector_bytes;
}

void edgert_install_forget(void) {
    is_begun = false;
}

/* The slot that the image is linked for, if it is one that may be written. */
static edgert_status find_slot(const uint8_t *header) {
    const uint32_t running = edgert_slot_running();
    if (!edgert_slot_other_is_free()) {
        return EDGERT_STATUS_SLOT_ON_TRIAL;
    }
    const uint32_t address = edgert_get(&header[EDGERT_HEADER_ADDRESS], 4u);
    slot = address == edgert_flash_geometry()->slot_origin[1] ? 1u : 0u;
    if (running != EDGERT_SLOT_NONE) {
        slot = running ^ 1u;
    }
    return edgert_image_check(header, slot);
}

/* Erase what the image needs: the sectors of header and payload, then that of the marks. The header goes first: without
 * it no mark lets the slot start. */
static bool erase_all(void) {
    const uint32_t end = EDGERT_SLOT_HEADER_BYTES + payload_bytes();
    bool is_done = true;
    for (uint32_t at = 0u; at < end && at < last_sector() && is_done; at += edgert_flash_geometry()->sector_bytes) {
        is_done = edgert_flash_erase_checked(origin() + at);
    }
    return is_done && edgert_flash_erase_checked(origin() + last_sector());
}

/* Nothing of this image is to be kept, also after a reset: without a header the next one begins anew. */
static edgert_status give_up(edgert_status status) {
    is_begun = false;
    (void)edgert_flash_erase(origin());
    return status;
}

static bool write_header(void) {
    return edgert_flash_write_checked(origin(), wanted, sizeof wanted);
}

/* The offset in the slot of the last piece of the payload that is not blank; 0 when all of it is. */
static uint32_t last_written(void) {
    const uint32_t end = EDGERT_SLOT_HEADER_BYTES + payload_bytes();
    uint32_t last = 0u;
    for (uint32_t at = EDGERT_SLOT_HEADER_BYTES; at < end; at += EDGERT_LARGEST_WRITE_UNIT) {
        last = edgert_flash_is_blank(origin() + at, EDGERT_LARGEST_WRITE_UNIT) ? last : at;
    }
    return last;
}

/* After a power cut: a payload behind the header says that all was erased and that the header is whole. What was written in
 * order is right up to its last unit; that one's sector is written again, and that of the marks is erased again. */
static bool resume(void) {
    const uint32_t last = last_written();
    const uint32_t sector = last - last % edgert_flash_geometry()->sector_bytes;
    held_bytes = sector == 0u ? 0u : sector - EDGERT_SLOT_HEADER_BYTES;
    return edgert_flash_erase_checked(origin() + sector) &&
           (sector == last_sector() || edgert_flash_erase_checked(origin() + last_sector())) &&
           (sector != 0u || write_header());
}

/* The payload is there already, from an update before: only its marks must go, and what shares their sector. */
static bool take_marks_off(void) {
    const uint32_t kept = last_sector() - EDGERT_SLOT_HEADER_BYTES;
    held_bytes = payload_bytes() < kept ? payload_bytes() : kept;
    return edgert_flash_erase_checked(origin() + last_sector());
}

static bool prepare(void) {
    const bool has_header = edgert_flash_holds(origin(), wanted, sizeof wanted);
    const bool has_marks = !edgert_flash_is_blank(edgert_marks_address(slot), EDGERT_SLOT_TRAILER_BYTES);
    if (has_header && !has_marks) {
        return resume();
    }
    if (has_header && edgert_image_holds(wanted, slot)) {
        return take_marks_off();
    }
    held_bytes = 0u;
    return erase_all() && write_header();
}

/* Whether this very image was begun since the device started: then what was written is known. */
static bool goes_on(const uint8_t *header) {
    return is_begun && memcmp(header, wanted, sizeof wanted) == 0;
}

static bool waits_there(void) {
    return edgert_flash_holds(origin(), wanted, sizeof wanted) && edgert_slot_look(slot) == EDGERT_SLOT_STATE_INSTALLED;
}

edgert_status edgert_install_begin(const uint8_t header[EDGERT_SLOT_HEADER_BYTES], edgert_slot_state *state,
                                   uint32_t *held) {
    const edgert_status status = find_slot(header);
    if (status != EDGERT_STATUS_OK) {
        is_begun = false;
        return status;
    }
    if (!goes_on(header)) {
        memcpy(wanted, header, sizeof wanted);
        *state = EDGERT_SLOT_STATE_INSTALLED;
        *held = payload_bytes();
        is_begun = false;
        if (waits_there()) {
            return EDGERT_STATUS_OK;
        }
        is_begun = prepare();
    }
    *state = EDGERT_SLOT_STATE_BEGUN;
    *held = held_bytes;
    return is_begun ? EDGERT_STATUS_OK : EDGERT_STATUS_SLOT_FLASH_FAILED;
}

edgert_status edgert_install_write(uint32_t offset, const uint8_t *bytes, uint32_t count, uint32_t *held) {
    if (!is_begun) {
        return EDGERT_STATUS_SLOT_NOT_BEGUN;
    }
    if (offset > held_bytes || count > payload_bytes() - offset) {
        return EDGERT_STATUS_BAD_RANGE;
    }
    const uint32_t address = edgert_image_payload(slot) + offset;
    *held = held_bytes;
    if (count <= held_bytes - offset) {
        return edgert_flash_holds(address, bytes, count) ? EDGERT_STATUS_OK : EDGERT_STATUS_BAD_RANGE;
    }
    if (offset != held_bytes) {
        return EDGERT_STATUS_BAD_RANGE;
    }
    if (count % edgert_flash_geometry()->write_unit != 0u && count != payload_bytes() - offset) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    if (!edgert_flash_write_checked(address, bytes, count)) {
        return give_up(EDGERT_STATUS_SLOT_FLASH_FAILED);
    }
    held_bytes += count;
    *held = held_bytes;
    return EDGERT_STATUS_OK;
}

static uint32_t next_sequence(void) {
    const uint32_t mine = edgert_marks_sequence(slot);
    const uint32_t other = edgert_marks_sequence(slot ^ 1u);
    return (mine > other ? mine : other) + 1u;
}

edgert_status edgert_install_finish(uint8_t digest[EDGERT_SHA256_BYTES]) {
    if (!is_begun || held_bytes != payload_bytes()) {
        return EDGERT_STATUS_SLOT_NOT_BEGUN;
    }
    is_begun = false;
    edgert_image_hash(slot, payload_bytes(), digest);
    if (memcmp(digest, &wanted[EDGERT_HEADER_HASH], EDGERT_SHA256_BYTES) != 0 ||
        !edgert_flash_holds(origin(), wanted, sizeof wanted)) {
        return give_up(EDGERT_STATUS_SLOT_BAD_HASH);
    }
    const uint32_t sequence = next_sequence();
    const bool is_marked = edgert_mark_write(slot, EDGERT_MARK_SEQUENCE, sequence) &&
                           edgert_mark_write(slot, EDGERT_MARK_INSTALLED, sequence);
    return is_marked ? EDGERT_STATUS_OK : give_up(EDGERT_STATUS_SLOT_FLASH_FAILED);
}
