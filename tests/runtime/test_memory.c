/* The painted stack and the fault record. */
#include <string.h>

#include "check.h"
#include "fault.h"
#include "stack.h"

static void an_untouched_stack_is_unused(void) {
    uint32_t stack[64];
    edgert_stack_paint(stack, &stack[64]);
    CHECK(edgert_stack_used(stack, &stack[64]) == 0u);
}

static void use_counts_from_the_lowest_word_that_changed(void) {
    uint32_t stack[64];
    edgert_stack_paint(stack, &stack[64]);
    stack[60] = 1u;
    stack[40] = 1u;
    CHECK(edgert_stack_used(stack, &stack[64]) == 24u * sizeof(uint32_t));
}

static void a_full_stack_is_wholly_used(void) {
    uint32_t stack[64];
    edgert_stack_paint(stack, &stack[64]);
    stack[0] = 1u;
    CHECK(edgert_stack_used(stack, &stack[64]) == sizeof stack);
}

static void there_is_no_record_before_a_fault(void) {
    CHECK(edgert_fault_find() == NULL);
}

static void a_record_names_the_layer(void) {
    edgert_current_layer = 7u;
    edgert_fault_store(EDGERT_FAULT_USAGE, 0x1234u, 0x5678u, 0x10000u);
    const edgert_fault_record *record = edgert_fault_find();
    CHECK(record != NULL && record->layer == 7u && record->kind == EDGERT_FAULT_USAGE);
    CHECK(record != NULL && record->pc == 0x1234u && record->address == 0x5678u && record->detail == 0x10000u);
    edgert_current_layer = EDGERT_NO_LAYER;
}

static void a_cleared_record_is_gone(void) {
    edgert_fault_store(EDGERT_FAULT_HARD, 1u, 2u, 3u);
    edgert_fault_clear();
    CHECK(edgert_fault_find() == NULL);
}

static void a_damaged_record_is_none(void) {
    edgert_fault_store(EDGERT_FAULT_HARD, 1u, 2u, 3u);
    edgert_fault_record damaged = *edgert_fault_find();
    damaged.layer ^= 1u;
    edgert_fault_restore(&damaged);
    CHECK(edgert_fault_find() == NULL);
}

/* What lies in RAM after power-on is anything. */
static void random_memory_is_no_record(void) {
    edgert_fault_record random;
    memset(&random, 0xA7, sizeof random);
    edgert_fault_restore(&random);
    CHECK(edgert_fault_find() == NULL);
}

static const uint8_t build_id[16] = {1u, 2u, 3u, 4u};

static void a_reset_in_a_layer_leaves_a_record(void) {
    edgert_fault_clear();
    edgert_fault_begin(build_id, false);
    CHECK(edgert_fault_find() == NULL);
    edgert_current_layer = 5u;
    edgert_fault_begin(build_id, false);
    const edgert_fault_record *record = edgert_fault_find();
    CHECK(record != NULL && record->kind == EDGERT_FAULT_RESET && record->layer == 5u);
    CHECK(record != NULL && record->program == 0x04030201u);
    CHECK(edgert_current_layer == EDGERT_NO_LAYER);
}

static void a_reset_by_the_watchdog_says_so(void) {
    edgert_fault_clear();
    edgert_fault_begin(build_id, false);
    edgert_current_layer = 2u;
    edgert_fault_begin(build_id, true);
    const edgert_fault_record *record = edgert_fault_find();
    CHECK(record != NULL && record->kind == EDGERT_FAULT_WATCHDOG && record->layer == 2u);
}

static void a_fault_is_not_taken_for_a_reset(void) {
    edgert_fault_clear();
    edgert_fault_begin(build_id, false);
    edgert_current_layer = 2u;
    edgert_fault_store(EDGERT_FAULT_BUS, 1u, 2u, 3u);
    edgert_fault_begin(build_id, false);
    CHECK(edgert_fault_find() != NULL && edgert_fault_find()->kind == EDGERT_FAULT_BUS);
    edgert_fault_clear();
}

int main(void) {
    RUN_TEST(an_untouched_stack_is_unused);
    RUN_TEST(use_counts_from_the_lowest_word_that_changed);
    RUN_TEST(a_full_stack_is_wholly_used);
    RUN_TEST(there_is_no_record_before_a_fault);
    RUN_TEST(a_record_names_the_layer);
    RUN_TEST(a_cleared_record_is_gone);
    RUN_TEST(a_damaged_record_is_none);
    RUN_TEST(random_memory_is_no_record);
    RUN_TEST(a_reset_in_a_layer_leaves_a_record);
    RUN_TEST(a_reset_by_the_watchdog_says_so);
    RUN_TEST(a_fault_is_not_taken_for_a_reset);
    return TEST_RESULT;
}
