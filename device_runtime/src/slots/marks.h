/* The marks in a slot's trailer, each written once, and what the flash is asked and told besides.
 *
 * A mark is 32 bytes: a tag, the slot's sequence number and the complements of both, twice. A write that is cut off
 * only leaves bits set, an erase that is cut off only sets bits: neither turns one mark into another (a set bit that
 * must be clear stands against its complement).
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
    EDGERT_MARK_REJECTED
} edgert_mark;

/* The number of the slot's SEQUENCE; 0 when that mark is not whole. */
uint32_t edgert_marks_sequence(uint32_t slot);

/* Whether the mark stands whole, with the slot's sequence number. */
bool edgert_mark_is_set(uint32_t slot, edgert_mark mark);

/* Whether nothing of the mark was ever written. */
bool edgert_mark_is_blank(uint32_t slot, edgert_mark mark);

/* Write the mark, and read it back. False when it is not blank before or not whole behind. */
bool edgert_mark_write(uint32_t slot, edgert_mark mark, uint32_t sequence);

/* Where the trailer begins. */
uint32_t edgert_marks_address(uint32_t slot);

bool edgert_flash_is_blank(uint32_t address, uint32_t count);
bool edgert_flash_holds(uint32_t address, const uint8_t *bytes, uint32_t count);

/* Erase the sector that begins there and look at it. */
bool edgert_flash_erase_checked(uint32_t address);

/* Write what is not blank of `count` bytes, and read them back. The last unit is filled up with ones. */
bool edgert_flash_write_checked(uint32_t address, const uint8_t *bytes, uint32_t count);

#endif
