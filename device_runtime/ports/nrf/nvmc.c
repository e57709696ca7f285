/* The flash of nRF51 and nRF52 behind their Non-Volatile Memory Controller: nRF51 Series Reference Manual 3.0, chapter 6;
 * nRF52832 Product Specification 1.8 and nRF52840 Product Specification 1.7, section "NVMC", have the same registers. The
 * profile's sector is their page: 1 KiB on nRF51 with 256 KiB of flash, 4 KiB on nRF52. A program that runs from the flash
 * is halted until a write or an erase is done. */
#include "flash.h"

#include <string.h>

#include "../cortex_m/devices.h"
#include "bytes.h"

#define NVMC 0x4001E000u
#define READY EDGERT_REGISTER(NVMC + 0x400u)
#define CONFIG EDGERT_REGISTER(NVMC + 0x504u)
#define ERASE_PAGE EDGERT_REGISTER(NVMC + 0x508u)

#define CONFIG_READ_ONLY 0u
#define CONFIG_WRITE 1u
#define CONFIG_ERASE 2u

#define WORD_BYTES 4u

static void wait_until_ready(void) {
    while ((READY & 1u) == 0u) {
    }
}

static void allow(uint32_t what) {
    CONFIG = what;
    wait_until_ready();
}

void edgert_flash_read(uint32_t address, uint8_t *bytes, uint32_t count) {
    memcpy(bytes, (const void *)(uintptr_t)address, count);
}

/* The controller tells of no failure: whoever asked reads back. */
bool edgert_flash_erase(uint32_t address) {
    allow(CONFIG_ERASE);
    ERASE_PAGE = address;
    wait_until_ready();
    allow(CONFIG_READ_ONLY);
    return true;
}

/* Words only, at multiples of four; a word may be written twice between erases, the slots do it once. */
bool edgert_flash_write(uint32_t address, const uint8_t *bytes, uint32_t count) {
    allow(CONFIG_WRITE);
    for (uint32_t done = 0u; done < count; done += WORD_BYTES) {
        EDGERT_REGISTER(address + done) = edgert_get(&bytes[done], WORD_BYTES);
        wait_until_ready();
    }
    allow(CONFIG_READ_ONLY);
    return true;
}

bool edgert_flash_flush(void) {
    __asm__ volatile("dsb\n isb" ::: "memory");
    return true;
}
