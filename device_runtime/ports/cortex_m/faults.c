#include "faults.h"

#include <stdint.h>

#include "devices.h"
#include "fault.h"
#include "port.h"

/* Armv8-M Architecture Reference Manual, D1.2: System Control Block. Armv6-M has only AIRCR. */
#define AIRCR 0xE000ED0Cu
#define AIRCR_RESET_REQUEST 0x05FA0004u
#define CFSR 0xE000ED28u
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)
#define CFSR_FRAME_LOST ((1u << 4) | (1u << 12) | (1u << 20))
#define CFSR_MEMORY 0x000000FFu
#define CFSR_BUS 0x0000FF00u
#define CFSR_USAGE 0xFFFF0000u
#define MMFAR 0xE000ED34u
#define BFAR 0xE000ED38u

/* What the core pushes before a handler runs: r0-r3, r12, lr, pc, xpsr. */
#define STACKED_PC 6

__attribute__((used, noreturn)) static void record_and_reset(const uint32_t *frame);

/* The stack may be what failed: the handler takes it from the top, and hands on where the core left its frame. */
__attribute__((naked)) void edgert_fault_entry(void) {
    __asm__ volatile("mrs r0, msp\n"
                     "ldr r1, =__edgert_stack_top\n"
                     "mov sp, r1\n"
                     "ldr r1, =record_and_reset\n"
                     "bx r1\n"
                     ".ltorg\n");
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

#else

static uint32_t fault_status(void) {
    return 0u;
}

static uint32_t fault_address(uint32_t status) {
    return status;
}

#endif

/* Every fault arrives as a hard fault, for the UART keeps PRIMASK set; the status word tells where it came from. */
static edgert_fault_kind kind_of(uint32_t status) {
    if ((status & CFSR_MEMORY) != 0u) {
        return EDGERT_FAULT_MEMORY;
    }
    if ((status & CFSR_BUS) != 0u) {
        return EDGERT_FAULT_BUS;
    }
    return (status & CFSR_USAGE) != 0u ? EDGERT_FAULT_USAGE : EDGERT_FAULT_HARD;
}

static void record_and_reset(const uint32_t *frame) {
    const uint32_t status = fault_status();
    const uint32_t pc = (status & CFSR_FRAME_LOST) != 0u ? 0u : frame[STACKED_PC];
    edgert_fault_store(kind_of(status), pc, fault_address(status), status);
    edgert_port_reset();
}

_Noreturn void edgert_port_reset(void) {
    __asm__ volatile("dsb" ::: "memory");
    EDGERT_REGISTER(AIRCR) = AIRCR_RESET_REQUEST;
    for (;;) {
    }
}
