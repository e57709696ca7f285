#include "marks.h"

#include <string.h>

#include "bytes.h"
#include "flash.h"
#include "slots.h"

#define TAG 0x6B72616Du
#define ERASED 0xFFu

/* Of the 128 bits that a mark clears. That more of them read as cleared by chance once happens in one of 65,536 cuts at most. */
#define FEW_BITS 16u

_Static_assert(EDGERT_SLOT_MARK_BYTES == 8u * 4u, "tag, number, and their complements, twice");
_Static_assert(EDGERT_SLOT_MARK_BYTES % EDGERT_LARGEST_WRITE_UNIT == 0u, "no two marks share a unit");

uint32_t edgert_marks_address(uint32_t slot) {
    const edgert_flash_layout *layout = edgert_flash_geometry();
    return layout->slot_origin[slot] + layout->slot_bytes - EDGERT_SLOT_TRAILER_BYTES;
}

static uint32_t address_of(uint32_t slot, edgert_mark mark) {
    return edgert_marks_address(slot) + (uint32_t)mark * EDGERT_SLOT_MARK_BYTES;
}

static void make(uint8_t bytes[EDGERT_SLOT_MARK_BYTES], edgert_mark mark, uint32_t sequence) {
    const uint32_t tag = TAG + (uint32_t)mark;
    for (uint32_t at = 0u; at < EDGERT_SLOT_MARK_BYTES; at += 16u) {
        edgert_put(&bytes[at], tag, 4u);
        edgert_put(&bytes[at + 4u], sequence, 4u);
        edgert_put(&bytes[at + 8u], ~sequence, 4u);
        edgert_put(&bytes[at + 12u], ~tag, 4u);
    }
}

static bool stands(uint32_t slot, edgert_mark mark, uint32_t sequence) {
    uint8_t bytes[EDGERT_SLOT_MARK_BYTES];
    make(bytes, mark, sequence);
    return edgert_flash_holds(address_of(slot, mark), bytes, sizeof bytes);
}

uint32_t edgert_marks_sequence(uint32_t slot) {
    uint8_t bytes[8];
    edgert_flash_read(address_of(slot, EDGERT_MARK_SEQUENCE), bytes, sizeof bytes);
    const uint32_t sequence = edgert_get(&bytes[4], 4u);
    return stands(slot, EDGERT_MARK_SEQUENCE, sequence) ? sequence : 0u;
}

bool edgert_mark_is_set(uint32_t slot, edgert_mark mark) {
    const uint32_t sequence = edgert_marks_sequence(slot);
    return sequence != 0u && stands(slot, mark, sequence);
}

bool edgert_mark_is_blank(uint32_t slot, edgert_mark mark) {
    return edgert_flash_is_blank(address_of(slot, mark), EDGERT_SLOT_MARK_BYTES);
}

bool edgert_mark_write(uint32_t slot, edgert_mark mark, uint32_t sequence) {
    uint8_t bytes[EDGERT_SLOT_MARK_BYTES];
    make(bytes, mark, sequence);
    return edgert_mark_is_blank(slot, mark) && edgert_flash_write_checked(address_of(slot, mark), bytes, sizeof bytes);
}

static uint32_t ones_of(uint8_t byte) {
    uint32_t ones = 0u;
    for (uint32_t bit = 0u; bit < 8u; ++bit) {
        ones += (uint32_t)byte >> bit & 1u;
    }
    return ones;
}

/* Whether all but a few bits of the mark are written, and no others: so reads one that read whole before and comes and goes. What a
 * torn erase leaves does not. */
static bool nearly_stands(uint32_t slot, edgert_mark mark) {
    uint8_t whole[EDGERT_SLOT_MARK_BYTES];
    uint8_t bytes[EDGERT_SLOT_MARK_BYTES];
    const uint32_t sequence = edgert_marks_sequence(slot);
    uint32_t missing = 0u;
    uint32_t wrong = 0u;
    make(whole, mark, sequence);
    edgert_flash_read(address_of(slot, mark), bytes, sizeof bytes);
    for (uint32_t i = 0u; i < sizeof bytes; ++i) {
        missing += ones_of((uint8_t)(bytes[i] & ~whole[i]));
        wrong += ones_of((uint8_t)(whole[i] & ~bytes[i]));
    }
    return sequence != 0u && missing <= FEW_BITS && wrong == 0u;
}

/* Behind a seal the mark need not be whole any more; but a seal alone, of which a single bit may decay, confirms nothing. */
bool edgert_marks_say_confirmed(uint32_t slot) {
    return edgert_mark_is_set(slot, EDGERT_MARK_CONFIRMED) ||
           (nearly_stands(slot, EDGERT_MARK_CONFIRMED) && !edgert_mark_is_blank(slot, EDGERT_MARK_CONFIRMED_SEAL));
}

bool edgert_marks_say_rejected(uint32_t slot) {
    return !edgert_mark_is_blank(slot, EDGERT_MARK_REJECTED_SEAL) || !edgert_mark_is_blank(slot, EDGERT_MARK_REJECTED);
}

/* A mark that says yes counts when it is whole, one that says no as soon as any of its bits is written. */
void edgert_marks_settle(uint32_t slot) {
    const uint32_t sequence = edgert_marks_sequence(slot);
    if (edgert_mark_is_set(slot, EDGERT_MARK_CONFIRMED) && edgert_mark_is_blank(slot, EDGERT_MARK_CONFIRMED_SEAL)) {
        (void)edgert_mark_write(slot, EDGERT_MARK_CONFIRMED_SEAL, sequence);
    }
    if (!edgert_mark_is_blank(slot, EDGERT_MARK_REJECTED) && edgert_mark_is_blank(slot, EDGERT_MARK_REJECTED_SEAL)) {
        (void)edgert_mark_write(slot, EDGERT_MARK_REJECTED_SEAL, sequence);
    }
}

/* A whole seal needs no mark: that may be one of those that come and go. */
bool edgert_marks_are_decided(uint32_t slot, edgert_mark mark, edgert_mark seal) {
    return edgert_mark_is_set(slot, seal) || (edgert_mark_is_set(slot, mark) && !edgert_mark_is_blank(slot, seal));
}

bool edgert_marks_decide(uint32_t slot, edgert_mark mark, edgert_mark seal) {
    const uint32_t sequence = edgert_marks_sequence(slot);
    if (edgert_marks_are_decided(slot, mark, seal)) {
        return true;
    }
    return (edgert_mark_is_set(slot, mark) || edgert_mark_write(slot, mark, sequence)) &&
           edgert_mark_write(slot, seal, sequence);
}

static bool are_erased(const uint8_t *bytes, uint32_t count) {
    uint8_t all = ERASED;
    for (uint32_t i = 0u; i < count; ++i) {
        all &= bytes[i];
    }
    return all == ERASED;
}

bool edgert_flash_is_blank(uint32_t address, uint32_t count) {
    uint8_t unit[EDGERT_LARGEST_WRITE_UNIT];
    bool is_blank = true;
    for (uint32_t at = 0u; at < count && is_blank; at += sizeof unit) {
        const uint32_t part = count - at < sizeof unit ? count - at : sizeof unit;
        edgert_flash_read(address + at, unit, part);
        is_blank = are_erased(unit, part);
    }
    return is_blank;
}

bool edgert_flash_holds(uint32_t address, const uint8_t *bytes, uint32_t count) {
    uint8_t unit[EDGERT_LARGEST_WRITE_UNIT];
    bool is_equal = true;
    for (uint32_t at = 0u; at < count && is_equal; at += sizeof unit) {
        const uint32_t part = count - at < sizeof unit ? count - at : sizeof unit;
        edgert_flash_read(address + at, unit, part);
        is_equal = memcmp(unit, &bytes[at], part) == 0;
    }
    return is_equal;
}

bool edgert_flash_erase_checked(uint32_t address) {
    return edgert_flash_erase(address) && edgert_flash_flush() &&
           edgert_flash_is_blank(address, edgert_flash_geometry()->sector_bytes);
}

/* Units of ones are left alone: on a chip that guards its units by a code, a unit of ones counts as written. */
static bool write_units(uint32_t address, const uint8_t *bytes, uint32_t count) {
    uint8_t unit[EDGERT_LARGEST_WRITE_UNIT];
    const uint32_t unit_bytes = edgert_flash_geometry()->write_unit;
    bool is_written = true;
    for (uint32_t at = 0u; at < count && is_written; at += unit_bytes) {
        const uint32_t part = count - at < unit_bytes ? count - at : unit_bytes;
        memset(unit, (int)ERASED, sizeof unit);
        memcpy(unit, &bytes[at], part);
        is_written = are_erased(unit, unit_bytes) || edgert_flash_write(address + at, unit, unit_bytes);
    }
    return is_written;
}

bool edgert_flash_write_checked(uint32_t address, const uint8_t *bytes, uint32_t count) {
    return write_units(address, bytes, count) && edgert_flash_flush() && edgert_flash_holds(address, bytes, count);
}
