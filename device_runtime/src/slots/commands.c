/* The commands SLOT_* of the protocol (docs/protocol.md), where serve.c does not know a command. */
#include "bytes.h"
#include "flash.h"
#include "image.h"
#include "install.h"
#include "marks.h"
#include "state.h"

_Static_assert(EDGERT_SLOT_HEADER_BYTES <= EDGERT_LEAST_PAYLOAD, "SLOT_BEGIN fits one frame");
_Static_assert(2u + 1u + 1u + 6u * 4u + 32u + EDGERT_SLOTS * (4u + 4u + 1u + EDGERT_BUILD_ID_BYTES) <=
                   EDGERT_LEAST_PAYLOAD,
               "SLOT_INFO fits one frame");

enum { OFFSET_BYTES = 4 };

/* Where the firmware's own network runs, either slot may be written: the one with the older image is told. */
static uint32_t next_slot(void) {
    const uint32_t running = edgert_slot_running();
    if (!edgert_slot_other_is_free()) {
        return EDGERT_SLOT_NONE;
    }
    if (running != EDGERT_SLOT_NONE) {
        return running ^ 1u;
    }
    return edgert_marks_sequence(0u) > edgert_marks_sequence(1u) ? 1u : 0u;
}

static void add_slot(edgert_frame *answer, uint32_t slot) {
    uint8_t build_id[EDGERT_BUILD_ID_BYTES] = {0};
    const uint32_t origin = edgert_flash_geometry()->slot_origin[slot];
    const edgert_slot_state state = edgert_slot_look(slot);
    if (state != EDGERT_SLOT_STATE_EMPTY) {
        edgert_flash_read(origin + EDGERT_HEADER_BUILD_ID, build_id, sizeof build_id);
    }
    edgert_frame_add(answer, origin, 4u);
    edgert_frame_add(answer, edgert_marks_sequence(slot), 4u);
    edgert_frame_add(answer, (uint64_t)state, 1u);
    edgert_frame_add_bytes(answer, build_id, sizeof build_id);
}

static edgert_status info(edgert_frame *answer) {
    const edgert_flash_layout *layout = edgert_flash_geometry();
    edgert_frame_add(answer, EDGERT_SLOT_INTERFACE, 2u);
    edgert_frame_add(answer, edgert_slot_running(), 1u);
    edgert_frame_add(answer, next_slot(), 1u);
    edgert_frame_add(answer, layout->slot_bytes, 4u);
    edgert_frame_add(answer, edgert_image_largest_payload(), 4u);
    edgert_frame_add(answer, layout->sector_bytes, 4u);
    edgert_frame_add(answer, layout->write_unit, 4u);
    edgert_frame_add(answer, layout->ram_origin, 4u);
    edgert_frame_add(answer, layout->ram_bytes, 4u);
    edgert_frame_add_bytes(answer, edgert_slot_key, sizeof edgert_slot_key);
    add_slot(answer, 0u);
    add_slot(answer, 1u);
    return EDGERT_STATUS_OK;
}

static edgert_status begin(const uint8_t *payload, uint32_t payload_bytes, edgert_frame *answer) {
    edgert_slot_state state = EDGERT_SLOT_STATE_EMPTY;
    uint32_t held = 0u;
    if (payload_bytes != EDGERT_SLOT_HEADER_BYTES) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const edgert_status status = edgert_install_begin(payload, &state, &held);
    if (status == EDGERT_STATUS_OK) {
        edgert_frame_add(answer, (uint64_t)state, 1u);
        edgert_frame_add(answer, held, 4u);
    }
    return status;
}

static edgert_status write_piece(const uint8_t *payload, uint32_t payload_bytes, edgert_frame *answer) {
    uint32_t held = 0u;
    if (payload_bytes < OFFSET_BYTES) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const edgert_status status = edgert_install_write(edgert_get(payload, OFFSET_BYTES), &payload[OFFSET_BYTES],
                                                      payload_bytes - OFFSET_BYTES, &held);
    if (status == EDGERT_STATUS_OK) {
        edgert_frame_add(answer, held, 4u);
    }
    return status;
}

static edgert_status finish(edgert_frame *answer) {
    uint8_t digest[EDGERT_SHA256_BYTES];
    const edgert_status status = edgert_install_finish(digest);
    if (status == EDGERT_STATUS_OK) {
        edgert_frame_add_bytes(answer, digest, sizeof digest);
    }
    return status;
}

edgert_status edgert_slots_command(uint8_t command, const uint8_t *payload, uint32_t payload_bytes,
                                   edgert_frame *answer) {
    if (command < EDGERT_COMMAND_SLOT_INFO || command > EDGERT_COMMAND_SLOT_REVERT) {
        return EDGERT_STATUS_UNKNOWN_COMMAND;
    }
    if (command == EDGERT_COMMAND_SLOT_BEGIN) {
        return begin(payload, payload_bytes, answer);
    }
    if (command == EDGERT_COMMAND_SLOT_WRITE) {
        return write_piece(payload, payload_bytes, answer);
    }
    if (payload_bytes != 0u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    if (command == EDGERT_COMMAND_SLOT_INFO) {
        return info(answer);
    }
    if (command == EDGERT_COMMAND_SLOT_FINISH) {
        return finish(answer);
    }
    return command == EDGERT_COMMAND_SLOT_CONFIRM ? edgert_slot_confirm() : edgert_slot_revert();
}
