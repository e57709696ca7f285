/* NOR flash for model slots, imitated in the board's PSRAM (application note DAI 0386, memory map: 16 MiB at 0x21000000),
 * for the board has no flash that a program may write. The rules of a chip are kept here: an erase sets a sector to 0xFF,
 * a write only clears bits. Both go word by word, so that a power cut leaves them torn, as on a chip. */
#include "flash.h"

#include <string.h>

#include "bytes.h"

#define WORD_BYTES 4u
#define ERASED_WORD 0xFFFFFFFFu

static volatile uint32_t *word_at(uint32_t address) {
    return (volatile uint32_t *)(uintptr_t)address;
}

void edgert_flash_read(uint32_t address, uint8_t *bytes, uint32_t count) {
    memcpy(bytes, (const void *)(uintptr_t)address, count);
}

bool edgert_flash_erase(uint32_t address) {
    const uint32_t end = address + edgert_flash_geometry()->sector_bytes;
    for (uint32_t at = address; at < end; at += WORD_BYTES) {
        *word_at(at) = ERASED_WORD;
    }
    return true;
}

bool edgert_flash_write(uint32_t address, const uint8_t *bytes, uint32_t count) {
    for (uint32_t done = 0u; done < count; done += WORD_BYTES) {
        *word_at(address + done) &= edgert_get(&bytes[done], WORD_BYTES);
    }
    return true;
}

/* The stores may be code that is called next. */
bool edgert_flash_flush(void) {
    __asm__ volatile("dsb\n isb" ::: "memory");
    return true;
}
