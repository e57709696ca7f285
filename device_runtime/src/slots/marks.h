/* The marks in a slot's trailer, each written once, and what the flash is asked and told besides.
 *
 * A mark is 32 bytes: a tag, the slot's sequence number and the complements of both, twice. A write that is cut off
 * only leaves bits set, an erase that is cut off only sets bits: neither turns one mark into another (a set bit that
 * must be clear stands against its complement).
 *
 * A bit that a cut left between its states may read differently every time, so a mark whose write was cut off just before its end
 * could come and go. Therefore CONFIRMED and REJECTED have seals, which edgert_marks_settle writes at boot behind a mark that was
 * seen: from then on the seal counts, and any bit of it is enough.
 */
#ifndef EDGERT_MARKS_H
#define EDGERT_MARKS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    EDGERT_MARK_SEQUENCE,
    EDGERT_MARK_INSTALLED,
    EDGERT_MARK_TRIED,
    EDGERT_MARK_CONFIRMED,
    EDGERT_MARK_REJECTED,
    EDGERT_MARK_CONFIRMED_SEAL,
    EDGERT_MARK_REJECTED_SEAL
} edgert_mark;

/* The number of the slot's SEQUENCE; 0 when that mark is not whole. */
uint32_t edgert_marks_sequence(uint32_t slot);

/* Whether the mark stands whole, with the slot's sequence number. */
bool edgert_mark_is_set(uint32_t slot, edgert_mark mark);

/* Whether nothing of the mark was ever written. */
bool edgert_mark_is_blank(uint32_t slot, edgert_mark mark);

/* Write the mark, and read it back. False when it is not blank before or not whole behind. */
bool edgert_mark_write(uint32_t slot, edgert_mark mark, uint32_t sequence);

/* Write the seals that are missing behind marks that are there. */
void edgert_marks_settle(uint32_t slot);

/* Whether CONFIRMED or REJECTED stands so that it cannot go away any more. */
bool edgert_marks_are_decided(uint32_t slot, edgert_mark mark, edgert_mark seal);

/* Write CONFIRMED or REJECTED and its seal, or what of both is missing. */
bool edgert_marks_decide(uint32_t slot, edgert_mark mark, edgert_mark seal);

/* Whether the slot may start for good; whether it may never start again. */
bool edgert_marks_say_confirmed(uint32_t slot);
bool edgert_marks_say_rejected(uint32_t slot);

/* Where the trailer begins. */
uint32_t edgert_marks_address(uint32_t slot);

bool edgert_flash_is_blank(uint32_t address, uint32_t count);
bool edgert_flash_holds(uint32_t address, const uint8_t *bytes, uint32_t count);

/* Erase the sector that begins there and look at it. */
bool edgert_flash_erase_checked(uint32_t address);

/* Write what is not blank of `count` bytes, and read them back. The last unit is filled up with ones. */
bool edgert_flash_write_checked(uint32_t address, const uint8_t *bytes, uint32_t count);

#endif
