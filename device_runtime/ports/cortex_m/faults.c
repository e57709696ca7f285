#include "faults.h"

#include <stdint.h>

#include "devices.h"
#include "fault.h"
#include "port.h"

/* Armv8-M Architecture Reference Manual, D1.2: System Control Block. Armv6-M has only AIRCR. */
#define AIRCR 0xE000ED0Cu
#define AIRCR_RESET_REQUEST 0x05FA0004u
#define SHCSR 0xE000ED24u
#define SHCSR_ALL_FAULTS (0xFu << 16)
#define CFSR 0xE000ED28u
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)
#define CFSR_STKOF (1u << 20)
#define MMFAR 0xE000ED34u
#define BFAR 0xE000ED38u

/* What the core pushes before a handler runs: r0-r3, r12, lr, pc, xpsr. */
#define STACKED_PC 6

__attribute__((used, noreturn)) static void record_and_reset(const uint32_t *frame);

/* The stack may be what failed: the handler takes it from the top, and hands on where the core left its frame. */
__attribute__((naked)) void edgert_fault_entry(void) {
    __asm__ volatile(
        "mrs r0, msp\n"
        "ldr r1, =__edgert_stack_top\n"
        "mov sp, r1\n"
        "ldr r1, =record_and_reset\n"
        "bx r1\n"
        ".ltorg\n");
}

static edgert_fault_kind active_fault(void) {
    uint32_t exception;
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    switch (exception) {
    case 3u: return EDGERT_FAULT_HARD;
    case 4u: return EDGERT_FAULT_MEMORY;
    case 5u: return EDGERT_FAULT_BUS;
    case 6u: return EDGERT_FAULT_USAGE;
    case 7u: return EDGERT_FAULT_SECURE;
    default: return EDGERT_FAULT_UNEXPECTED_INTERRUPT;
    }
}

#if __ARM_ARCH >= 7

static uint32_t fault_status(void) {
    return EDGERT_REGISTER(CFSR);
}

static uint32_t fault_address(uint32_t status) {
    if ((status & CFSR_MMARVALID) != 0u) {
        return EDGERT_REGISTER(MMFAR);
    }
    return (status & CFSR_BFARVALID) != 0u ? EDGERT_REGISTER(BFAR) : 0u;
}

void edgert_faults_enable(void) {
    EDGERT_REGISTER(SHCSR) |= SHCSR_ALL_FAULTS;
}

#else

static uint32_t fault_status(void) {
    return 0u;
}

static uint32_t fault_address(uint32_t status) {
    return status;
}

void edgert_faults_enable(void) {
}

#endif

static void record_and_reset(const uint32_t *frame) {
    const uint32_t status = fault_status();
    const uint32_t pc = (status & CFSR_STKOF) != 0u ? 0u : frame[STACKED_PC];
    edgert_fault_store(active_fault(), pc, fault_address(status), status);
    edgert_port_reset();
}

_Noreturn void edgert_port_reset(void) {
    __asm__ volatile("dsb" ::: "memory");
    EDGERT_REGISTER(AIRCR) = AIRCR_RESET_REQUEST;
    for (;;) {
    }
}
