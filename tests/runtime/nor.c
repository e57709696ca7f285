#include "nor.h"

#include <string.h>

#include "random.h"
#include "slots.h"

#define SPREAD 2654435769u /* 2^32 by the golden ratio: makes neighbouring seeds differ */

nor_flash nor;
static nor_content now;

static uint32_t used_bytes(void) {
    return EDGERT_SLOTS * nor.layout.slot_bytes;
}

void nor_seed(uint32_t seed) {
    random_state = (seed + 1u) * SPREAD | 1u;
    for (uint32_t i = 0u; i < 4u; ++i) {
        (void)random_below(2u);
    }
}

uint32_t nor_random(uint32_t limit) {
    return random_below(limit);
}

void nor_heal(void) {
    nor.protected_slot = EDGERT_SLOTS;
    nor.operations = 0u;
    nor.cut = NOR_NEVER;
    nor.failure = NOR_WORKS;
    nor.has_failed = false;
    nor.stuck_mask = 0u;
    nor.writes = 0u;
    nor.rule_breaks = 0u;
    memset(nor.erases, 0, sizeof nor.erases);
}

void nor_start(const edgert_flash_layout *layout) {
    memset(&nor, 0, sizeof nor);
    nor.layout = *layout;
    memset(now.bytes, 0xFF, sizeof now.bytes);
    memset(now.uncertain, 0, sizeof now.uncertain);
    nor_heal();
}

void nor_keep(nor_content *content) {
    memcpy(content->bytes, now.bytes, used_bytes());
    memcpy(content->uncertain, now.uncertain, used_bytes());
}

void nor_restore(const nor_content *content) {
    memcpy(now.bytes, content->bytes, used_bytes());
    memcpy(now.uncertain, content->uncertain, used_bytes());
}

void nor_decay(uint32_t address) {
    now.bytes[address - NOR_ORIGIN] ^= (uint8_t)(1u << random_below(8u));
}

const uint8_t *nor_at(uint32_t address) {
    return &now.bytes[address - NOR_ORIGIN];
}

const edgert_flash_layout *edgert_flash_geometry(void) {
    return &nor.layout;
}

/* Whether the operation keeps to the slots, its alignment and, in the protected slot, to the marks. */
static bool is_allowed(uint32_t address, uint32_t count, uint32_t alignment) {
    const uint32_t at = address - NOR_ORIGIN;
    if (at > used_bytes() || count > used_bytes() - at || at % alignment != 0u || count % alignment != 0u) {
        return false;
    }
    const uint32_t end = (at % nor.layout.slot_bytes) + count;
    return at / nor.layout.slot_bytes != nor.protected_slot ||
           (count < nor.layout.sector_bytes && end > nor.layout.slot_bytes - EDGERT_SLOT_TRAILER_BYTES);
}

void edgert_flash_read(uint32_t address, uint8_t *bytes, uint32_t count) {
    const uint32_t at = address - NOR_ORIGIN;
    if (at > used_bytes() || count > used_bytes() - at) {
        ++nor.rule_breaks;
        return;
    }
    memcpy(bytes, &now.bytes[at], count);
    for (uint32_t i = 0u; nor.is_unstable && i < count; ++i) {
        const uint8_t mask = now.uncertain[at + i];
        if (mask != 0u) {
            bytes[i] = (uint8_t)((bytes[i] & ~mask) | (random_below(256u) & mask));
        }
    }
    if (nor.stuck_mask != 0u && nor.stuck_at >= address && nor.stuck_at - address < count) {
        uint8_t *byte = &bytes[nor.stuck_at - address];
        *byte = (uint8_t)((*byte & ~nor.stuck_mask) | (nor.stuck_value & nor.stuck_mask));
    }
}

/* How far an operation gets that is cut off: the chance of each bit, in 256ths. */
static uint32_t random_progress(void) {
    static const uint32_t chances[] = {1u, 32u, 128u, 224u, 255u};
    return chances[random_below(5u)];
}

static uint8_t random_mask(uint32_t chance) {
    uint32_t mask = 0u;
    for (uint32_t bit = 0u; bit < 8u; ++bit) {
        mask |= (random_below(256u) < chance ? 1u : 0u) << bit;
    }
    return (uint8_t)mask;
}

/* A chip first clears all bits of a sector, then sets them; it may do so from either end, or all at once. */
static void tear_erase(uint32_t at) {
    const uint32_t manner = random_below(5u);
    const uint32_t chance = random_progress();
    const uint32_t reached = random_below(nor.layout.sector_bytes + 1u);
    for (uint32_t i = 0u; i < nor.layout.sector_bytes; ++i) {
        uint8_t *byte = &now.bytes[at + i];
        const uint8_t mask = random_mask(chance);
        now.uncertain[at + i] = manner == 1u ? (uint8_t)~mask : 0xFFu;
        if (manner == 0u) {
            *byte &= mask;
        } else if (manner == 1u) {
            *byte |= mask;
        } else if (manner == 2u) {
            random_bytes(byte, 1u);
        } else if (manner == 3u ? i < reached : i >= reached) {
            *byte = 0xFFu;
        }
    }
}

/* Any part of the bits is cleared; the more are, the fewer are uncertain. */
static void tear_write(uint32_t at, const uint8_t *bytes, uint32_t count) {
    const uint32_t chance = random_progress();
    for (uint32_t i = 0u; i < count; ++i) {
        const uint8_t clears = (uint8_t)(now.bytes[at + i] & ~bytes[i]);
        now.bytes[at + i] &= (uint8_t)~(clears & random_mask(chance));
        now.uncertain[at + i] |= (uint8_t)(clears & ~random_mask(chance));
    }
}

static void whole_erase(uint32_t at) {
    memset(&now.bytes[at], 0xFF, nor.layout.sector_bytes);
    memset(&now.uncertain[at], 0, nor.layout.sector_bytes);
}

static void whole_write(uint32_t at, const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        now.bytes[at + i] &= bytes[i];
        now.uncertain[at + i] &= bytes[i];
    }
}

/* An erase is an operation without bytes. */
static void do_whole(uint32_t at, const uint8_t *bytes, uint32_t count) {
    if (bytes == NULL) {
        whole_erase(at);
    } else {
        whole_write(at, bytes, count);
    }
}

static void do_part(uint32_t at, const uint8_t *bytes, uint32_t count) {
    if (bytes == NULL) {
        tear_erase(at);
    } else {
        tear_write(at, bytes, count);
    }
}

static void cut_power(nor_moment moment, uint32_t number) {
    if (nor.cut == moment && nor.cut_at == number) {
        longjmp(nor.on_cut, 1);
    }
}

static bool operate(uint32_t at, const uint8_t *bytes, uint32_t count) {
    const uint32_t number = nor.operations;
    const bool is_bad = nor.failure != NOR_WORKS && nor.failure_at == number;
    ++nor.operations;
    cut_power(NOR_BEFORE, number);
    if (nor.cut == NOR_INSIDE && nor.cut_at == number) {
        do_part(at, bytes, count);
        longjmp(nor.on_cut, 1);
    }
    if (!is_bad) {
        do_whole(at, bytes, count);
    } else if (nor.failure != NOR_LIES) {
        do_part(at, bytes, count);
    }
    nor.has_failed = nor.has_failed || is_bad;
    cut_power(NOR_AFTER, number);
    return !is_bad || nor.failure != NOR_FAILS;
}

bool edgert_flash_erase(uint32_t address) {
    const uint32_t at = address - NOR_ORIGIN;
    if (!is_allowed(address, nor.layout.sector_bytes, nor.layout.sector_bytes)) {
        ++nor.rule_breaks;
        return false;
    }
    ++nor.erases[at / nor.layout.sector_bytes];
    return operate(at, NULL, nor.layout.sector_bytes);
}

/* A unit that reads blank may have been touched by a write that was cut off: nobody can know. */
static bool reads_blank(uint32_t at, uint32_t count) {
    bool is_blank = true;
    for (uint32_t i = 0u; i < count; ++i) {
        const uint8_t unknown = nor.is_unstable ? now.uncertain[at + i] : 0u;
        is_blank = is_blank && (now.bytes[at + i] | unknown) == 0xFFu;
    }
    return is_blank;
}

bool edgert_flash_write(uint32_t address, const uint8_t *bytes, uint32_t count) {
    const uint32_t at = address - NOR_ORIGIN;
    if (!is_allowed(address, count, nor.layout.write_unit) || !reads_blank(at, count)) {
        ++nor.rule_breaks;
        return false;
    }
    ++nor.writes;
    return operate(at, bytes, count);
}

bool edgert_flash_flush(void) {
    return true;
}
