#include "fault.h"

#include <stddef.h>
#include <string.h>

#include "frame.h"

#define CHECKED_BYTES ((uint32_t)offsetof(edgert_fault_record, check))

volatile uint32_t edgert_current_layer = EDGERT_NO_LAYER;

/* Start-up code leaves .noinit as it was. */
__attribute__((section(".noinit"))) static edgert_fault_record kept;

static uint32_t check_of(const edgert_fault_record *record) {
    return edgert_crc32((const uint8_t *)record, CHECKED_BYTES);
}

void edgert_fault_store(edgert_fault_kind kind, uint64_t pc, uint64_t address, uint32_t detail) {
    kept.kind = (uint32_t)kind;
    kept.layer = edgert_current_layer;
    kept.pc = pc;
    kept.address = address;
    kept.detail = detail;
    kept.check = check_of(&kept);
}

const edgert_fault_record *edgert_fault_find(void) {
    return kept.kind != 0u && kept.check == check_of(&kept) ? &kept : NULL;
}

void edgert_fault_clear(void) {
    memset(&kept, 0, sizeof kept);
}

void edgert_fault_restore(const edgert_fault_record *record) {
    kept = *record;
}
