#include "state.h"

#include "bytes.h"
#include "flash.h"
#include "image.h"
#include "marks.h"

/* Off the stack, so that the stack's high-water mark is the network's. */
static uint8_t header[EDGERT_SLOT_HEADER_BYTES];

static uint32_t running = EDGERT_SLOT_NONE;

static void read_header(uint32_t slot) {
    edgert_flash_read(edgert_flash_geometry()->slot_origin[slot], header, sizeof header);
}

/* What was confirmed was installed before: then that mark is not asked any more. */
edgert_slot_state edgert_slot_look(uint32_t slot) {
    read_header(slot);
    const bool is_confirmed = edgert_marks_say_confirmed(slot);
    if (!is_confirmed && !edgert_mark_is_set(slot, EDGERT_MARK_INSTALLED)) {
        return edgert_get(header, 4u) == EDGERT_SLOT_MAGIC ? EDGERT_SLOT_STATE_BEGUN : EDGERT_SLOT_STATE_EMPTY;
    }
    if (edgert_marks_say_rejected(slot)) {
        return EDGERT_SLOT_STATE_REJECTED;
    }
    if (edgert_image_check(header, slot) != EDGERT_STATUS_OK || !edgert_image_holds(header, slot)) {
        return EDGERT_SLOT_STATE_DAMAGED;
    }
    if (is_confirmed) {
        return EDGERT_SLOT_STATE_CONFIRMED;
    }
    return edgert_mark_is_blank(slot, EDGERT_MARK_TRIED) ? EDGERT_SLOT_STATE_INSTALLED : EDGERT_SLOT_STATE_TRIED;
}

uint32_t edgert_slot_running(void) {
    return running;
}

/* Enough to give up the other slot. */
static bool is_surely_confirmed(uint32_t slot) {
    return edgert_marks_are_decided(slot, EDGERT_MARK_CONFIRMED, EDGERT_MARK_CONFIRMED_SEAL) &&
           !edgert_marks_say_rejected(slot);
}

bool edgert_slot_other_is_free(void) {
    return running == EDGERT_SLOT_NONE || is_surely_confirmed(running);
}

/* A slot that cannot be marked as tried could fail for ever: it does not start. */
static bool may_start(uint32_t slot) {
    switch (edgert_slot_look(slot)) {
    case EDGERT_SLOT_STATE_CONFIRMED: return true;
    case EDGERT_SLOT_STATE_INSTALLED: return edgert_mark_write(slot, EDGERT_MARK_TRIED, edgert_marks_sequence(slot));
    case EDGERT_SLOT_STATE_EMPTY:
    case EDGERT_SLOT_STATE_BEGUN:
    case EDGERT_SLOT_STATE_TRIED:
    case EDGERT_SLOT_STATE_REJECTED:
    case EDGERT_SLOT_STATE_DAMAGED: break;
    }
    return false;
}

uint32_t edgert_slot_pick(uint32_t passed) {
    edgert_marks_settle(0u);
    edgert_marks_settle(1u);
    const uint32_t newest = edgert_marks_sequence(1u) > edgert_marks_sequence(0u) ? 1u : 0u;
    running = EDGERT_SLOT_NONE;
    for (uint32_t turn = 0u; turn < EDGERT_SLOTS && running == EDGERT_SLOT_NONE; ++turn) {
        const uint32_t slot = newest ^ turn;
        if ((passed >> slot & 1u) == 0u && may_start(slot)) {
            running = slot;
        }
    }
    return running;
}

edgert_status edgert_slot_confirm(void) {
    if (running == EDGERT_SLOT_NONE || edgert_marks_say_rejected(running)) {
        return EDGERT_STATUS_SLOT_NOTHING;
    }
    return edgert_marks_decide(running, EDGERT_MARK_CONFIRMED, EDGERT_MARK_CONFIRMED_SEAL)
               ? EDGERT_STATUS_OK
               : EDGERT_STATUS_SLOT_FLASH_FAILED;
}

edgert_status edgert_slot_revert(void) {
    if (running == EDGERT_SLOT_NONE || edgert_marks_say_rejected(running)) {
        return EDGERT_STATUS_SLOT_NOTHING;
    }
    if (edgert_marks_say_confirmed(running) && edgert_slot_look(running ^ 1u) != EDGERT_SLOT_STATE_CONFIRMED) {
        return EDGERT_STATUS_SLOT_NOTHING;
    }
    return edgert_marks_decide(running, EDGERT_MARK_REJECTED, EDGERT_MARK_REJECTED_SEAL)
               ? EDGERT_STATUS_OK
               : EDGERT_STATUS_SLOT_FLASH_FAILED;
}
