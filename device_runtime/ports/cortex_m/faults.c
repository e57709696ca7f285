#include "faults.h"

#include <stdint.h>
#include <string.h>

#include "caches.h"
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
#define HFSR 0xE000ED2Cu
#define MMFAR 0xE000ED34u
#define BFAR 0xE000ED38u

/* The exception number in IPSR of the Non-Maskable Interrupt, on which a board may put its watchdog. */
#define NMI 2u

/* EXC_RETURN: the core pushed no floating-point registers. xPSR: it left out a word, to align the stack. */
#define RETURN_WITHOUT_FLOATS (1u << 4)
#define FLOAT_FRAME_BYTES 72u
#define XPSR_PADDED (1u << 9)

/* What the handler finds: the registers that the core does not push, its stack pointer and return value, and the frame
 * that it pushed. */
typedef struct {
    uint32_t r4_to_r11[8];
    uint32_t msp;
    uint32_t exc_return;
    uint32_t r0_to_r3[4];
    uint32_t r12;
    uint32_t lr;
    uint32_t pc;
    uint32_t xpsr;
} snapshot;

__attribute__((used)) static snapshot found;
__attribute__((used, noreturn)) static void record_and_reset(void);

/* The stack may be what failed: the handler saves what it found elsewhere, then takes the stack from its top. Armv6-M
 * has only instructions for the low registers. */
__attribute__((naked)) void edgert_fault_entry(void) {
    __asm__ volatile(".syntax unified\n"
                     "mrs r0, msp\n"
                     "ldr r1, =found\n"
                     "stmia r1!, {r4-r7}\n"
                     "mov r4, r8\n"
                     "mov r5, r9\n"
                     "mov r6, r10\n"
                     "mov r7, r11\n"
                     "stmia r1!, {r4-r7}\n"
                     "mov r2, lr\n"
                     "stmia r1!, {r0, r2}\n"
                     "ldmia r0!, {r4-r7}\n"
                     "stmia r1!, {r4-r7}\n"
                     "ldmia r0!, {r4-r7}\n"
                     "stmia r1!, {r4-r7}\n"
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

static uint32_t hard_status(void) {
    return EDGERT_REGISTER(HFSR);
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

static uint32_t hard_status(void) {
    return 0u;
}

static uint32_t fault_address(uint32_t status) {
    return status;
}

#endif

/* Every fault arrives as a hard fault, for the UART keeps PRIMASK set; the status word tells where it came from. */
static edgert_fault_kind kind_of(uint32_t status) {
    uint32_t exception = 0u;
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    if (exception == NMI) {
        return EDGERT_FAULT_WATCHDOG;
    }
    if ((status & CFSR_MEMORY) != 0u) {
        return EDGERT_FAULT_MEMORY;
    }
    if ((status & CFSR_BUS) != 0u) {
        return EDGERT_FAULT_BUS;
    }
    return (status & CFSR_USAGE) != 0u ? EDGERT_FAULT_USAGE : EDGERT_FAULT_HARD;
}

static uint32_t interrupted_stack_pointer(void) {
    const uint32_t floats = (found.exc_return & RETURN_WITHOUT_FLOATS) != 0u ? 0u : FLOAT_FRAME_BYTES;
    const uint32_t padding = (found.xpsr & XPSR_PADDED) != 0u ? 4u : 0u;
    return found.msp + 32u + floats + padding;
}

/* What the core could not push is not known: a stack that overflows leaves the registers of its frame behind. */
static void tell_registers(edgert_fault_record *record) {
    memcpy(&record->registers[0], found.r0_to_r3, sizeof found.r0_to_r3);
    memcpy(&record->registers[4], found.r4_to_r11, sizeof found.r4_to_r11);
    record->registers[12] = found.r12;
    record->registers[13] = interrupted_stack_pointer();
    record->registers[14] = found.lr;
    record->registers[15] = found.xpsr;
    record->registers_told = EDGERT_FAULT_REGISTERS;
    record->pc = found.pc;
}

static void record_and_reset(void) {
    const uint32_t status = fault_status();
    edgert_fault_record record = {
        .kind = (uint32_t)kind_of(status),
        .address = fault_address(status),
        .detail = status,
        .hard_status = hard_status(),
    };
    uint64_t stack_bytes = 0u;
    (void)edgert_port_stack_bytes(&stack_bytes);
    record.stack_bytes = (uint32_t)stack_bytes;
    if ((status & CFSR_FRAME_LOST) == 0u) {
        tell_registers(&record);
    }
    edgert_fault_keep(&record);
    edgert_port_reset();
}

/* That of caches.c takes its place where the core has caches. */
__attribute__((weak)) void edgert_caches_clean(void) {
}

_Noreturn void edgert_port_reset(void) {
    edgert_caches_clean();
    __asm__ volatile("dsb" ::: "memory");
    EDGERT_REGISTER(AIRCR) = AIRCR_RESET_REQUEST;
    for (;;) {
    }
}
