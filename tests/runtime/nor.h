/* NOR flash in memory, behind src/flash.h: an erase sets a sector, a write only clears bits, the power may be cut before,
 * inside and after every operation, bits stick, and the chip may fail or lie about it. */
#ifndef NOR_H
#define NOR_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "flash.h"

#define NOR_ROOM (1u << 17)
#define NOR_ORIGIN 0x10000u

typedef enum { NOR_NEVER, NOR_BEFORE, NOR_INSIDE, NOR_AFTER } nor_moment;

/* What operation number `at` does instead of its work: fail and say so; do nothing, or a part, and say that it was done. */
typedef enum { NOR_WORKS, NOR_FAILS, NOR_LIES, NOR_TEARS } nor_failure;

/* The content, which `nor_snapshot` keeps. `uncertain` bits are those that a cut left between the states. */
typedef struct {
    uint8_t bytes[NOR_ROOM];
    uint8_t uncertain[NOR_ROOM];
} nor_content;

typedef struct {
    edgert_flash_layout layout;
    bool is_unstable;        /* uncertain bits read differently every time */
    uint32_t protected_slot; /* of which only the marks may be written; EDGERT_SLOTS: none */

    uint32_t operations;
    nor_moment cut;
    uint32_t cut_at;
    jmp_buf on_cut;

    nor_failure failure;
    uint32_t failure_at;
    bool has_failed;

    uint8_t stuck_mask; /* bits of one byte that always read as in stuck_value */
    uint8_t stuck_value;
    uint32_t stuck_at; /* its address */

    uint32_t erases[NOR_ROOM / 256u];
    uint32_t writes;
    uint32_t rule_breaks;
} nor_flash;

extern nor_flash nor;

/* A new chip: erased, without faults. */
void nor_start(const edgert_flash_layout *layout);

/* The same sequence of torn bits follows the same seed. */
void nor_seed(uint32_t seed);

/* A random number below `limit`, of that sequence. */
uint32_t nor_random(uint32_t limit);

/* Forget cuts, failures, stuck bits and counts. */
void nor_heal(void);

void nor_keep(nor_content *content);
void nor_restore(const nor_content *content);

/* One bit of the byte at an address changes by itself. */
void nor_decay(uint32_t address);

/* The bytes of an address as they are. */
const uint8_t *nor_at(uint32_t address);

#endif
