/* The fault record: what went wrong, where, in which layer. It lies in memory that a reset leaves alone. */
#ifndef EDGERT_FAULT_H
#define EDGERT_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

/* `pc` is the instruction that failed, `address` the memory it touched, `detail` the core's or system's own status word
 * (CFSR on Cortex-M, the signal number on POSIX); 0 where unknown. `check` is the CRC-32 of what stands before it. */
typedef struct {
    uint64_t pc;
    uint64_t address;
    uint32_t kind;
    uint32_t layer;
    uint32_t detail;
    uint32_t check;
} edgert_fault_record;

/* The layer that runs now, or EDGERT_NO_LAYER. */
extern volatile uint32_t edgert_current_layer;

/* Fill the record, with the current layer. */
void edgert_fault_store(edgert_fault_kind kind, uint64_t pc, uint64_t address, uint32_t detail);

/* The record, or NULL when there is none: never stored, cleared, or lost with the power. */
const edgert_fault_record *edgert_fault_find(void);

void edgert_fault_clear(void);

/* Bring back a record that a port kept outside of this memory. */
void edgert_fault_restore(const edgert_fault_record *record);

#endif
