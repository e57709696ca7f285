#include "fault.h"

#include <stddef.h>
#include <string.h>

#include "bytes.h"
#include "frame.h"

#define CHECKED_BYTES ((uint32_t)offsetof(edgert_fault_record, check))

#define UNDER_WATCH 0x57A7C4EDu

/* Start-up code leaves .noinit as it was. `under_watch` says that the layer below is one. */
__attribute__((section(".noinit"))) static edgert_fault_record kept;
__attribute__((section(".noinit"))) static uint32_t under_watch;
__attribute__((section(".noinit"))) static uint32_t program;
__attribute__((section(".noinit"))) volatile uint32_t edgert_current_layer;

static uint32_t check_of(const edgert_fault_record *record) {
    return edgert_crc32((const uint8_t *)record, CHECKED_BYTES);
}

void edgert_fault_begin(const uint8_t *build_id, bool watchdog_fired) {
    if (under_watch == UNDER_WATCH && edgert_current_layer != EDGERT_NO_LAYER && edgert_fault_find() == NULL) {
        edgert_fault_store(watchdog_fired ? EDGERT_FAULT_WATCHDOG : EDGERT_FAULT_RESET, 0u, 0u, 0u);
    }
    edgert_current_layer = EDGERT_NO_LAYER;
    program = edgert_get(build_id, 4u);
    under_watch = UNDER_WATCH;
}

void edgert_fault_keep(const edgert_fault_record *told) {
    kept = *told;
    kept.layer = edgert_current_layer;
    kept.program = program;
    kept.check = check_of(&kept);
}

void edgert_fault_store(edgert_fault_kind kind, uint64_t pc, uint64_t address, uint32_t detail) {
    edgert_fault_keep(&(edgert_fault_record){
        .kind = (uint32_t)kind,
        .pc = pc,
        .address = address,
        .detail = detail,
    });
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
