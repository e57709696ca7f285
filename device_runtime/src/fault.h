/* The fault record: what went wrong, where, in which layer. It lies in memory that a reset leaves alone. */
#ifndef EDGERT_FAULT_H
#define EDGERT_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

/* r0 to r12, sp, lr and xPSR of a Cortex-M. */
#define EDGERT_FAULT_REGISTERS 16u

/* `pc` is the instruction that failed, `address` the memory it touched, `detail` the core's or system's own status word
 * (CFSR on Cortex-M, the signal number on POSIX), `hard_status` the HFSR of a Cortex-M, `stack_bytes` what the stack had
 * taken; 0 where unknown. `program` is the beginning of the network's build id. `check` is the CRC-32 of what stands
 * before it. */
typedef struct {
    uint64_t pc;
    uint64_t address;
    uint32_t kind;
    uint32_t layer;
    uint32_t detail;
    uint32_t hard_status;
    uint32_t program;
    uint32_t stack_bytes;
    uint32_t registers_told;
    uint32_t registers[EDGERT_FAULT_REGISTERS];
    uint32_t check;
} edgert_fault_record;

/* The layer that runs now, or EDGERT_NO_LAYER. It outlives a reset. */
extern volatile uint32_t edgert_current_layer;

/* Begin to watch over a network, known by its build id. A layer that still ran when the board started anew, and left no
 * record, leaves one now: of the kind WATCHDOG when `watchdog_fired`, else RESET. */
void edgert_fault_begin(const uint8_t *build_id, bool watchdog_fired);

/* Keep a record; the layer, the program and the check are filled in. */
void edgert_fault_keep(const edgert_fault_record *told);

/* Keep a record of which no more is known. */
void edgert_fault_store(edgert_fault_kind kind, uint64_t pc, uint64_t address, uint32_t detail);

/* The record, or NULL when there is none: never stored, cleared, or lost with the power. */
const edgert_fault_record *edgert_fault_find(void);

void edgert_fault_clear(void);

/* Bring back a record that a port kept outside of this memory. */
void edgert_fault_restore(const edgert_fault_record *record);

#endif
