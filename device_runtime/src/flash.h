/* What a port brings beside port.h when its firmware has model slots (docs/slots.md): two stretches of flash. Every
 * access goes through here, so that a simulator can stand in. */
#ifndef EDGERT_FLASH_H
#define EDGERT_FLASH_H

#include <stdbool.h>
#include <stdint.h>

#define EDGERT_SLOTS 2u
#define EDGERT_LARGEST_WRITE_UNIT 32u

/* Sizes in bytes. A slot is whole sectors, at least two of them: its header and its marks must not be erased together.
 * `write_unit` divides EDGERT_LARGEST_WRITE_UNIT; a unit is written at most once after an erase. `ram_origin` and
 * `ram_bytes` are the memory that the firmware leaves to the network in a slot. */
typedef struct {
    uint32_t slot_origin[EDGERT_SLOTS];
    uint32_t slot_bytes;
    uint32_t sector_bytes;
    uint32_t write_unit;
    uint32_t ram_origin;
    uint32_t ram_bytes;
} edgert_flash_layout;

/* Constant. Slots do not overlap each other, the firmware or its RAM. */
const edgert_flash_layout *edgert_flash_geometry(void);

void edgert_flash_read(uint32_t address, uint8_t *bytes, uint32_t count);

/* Set every bit of the sector that begins at `address`. False when the chip says that it failed; the caller reads back
 * in any case. Returns when it is done. */
bool edgert_flash_erase(uint32_t address);

/* Write whole units, all of them erased before. False when the chip says that it failed. */
bool edgert_flash_write(uint32_t address, const uint8_t *bytes, uint32_t count);

/* Make what was written readable and executable: end a burst, empty the caches. False when the chip says that a write
 * before failed. */
bool edgert_flash_flush(void);

#endif
