/* From reset to main: the vector table, the memory, the coprocessors, the painted stack. */
#include <stddef.h>
#include <stdint.h>

#include "devices.h"
#include "faults.h"
#include "port.h"
#include "stack.h"

/* Armv7-M Architecture Reference Manual, B3.2: System Control Block. */
#define CPACR 0xE000ED88u
#define CPACR_CP10_CP11_FULL (0xFu << 20)

/* Armv7-M Architecture Reference Manual, B3.5: Memory Protection Unit. */
#define MPU_TYPE 0xE000ED90u
#define MPU_CTRL 0xE000ED94u
#define MPU_CTRL_ENABLE_OVER_DEFAULT_MAP 5u
#define MPU_RBAR 0xE000ED9Cu
#define MPU_RBAR_REGION_0 0x10u
#define MPU_RASR 0xE000EDA0u
#define MPU_RASR_128_BYTES_NO_ACCESS ((6u << 1) | 1u)

/* Words below the stack pointer that painting leaves alone: the frame of the painting function itself. */
#define UNPAINTED_WORDS 16

extern uint32_t __edgert_data_start[], __edgert_data_end[], __edgert_bss_start[], __edgert_bss_end[];
extern const uint32_t __edgert_data_source[];
extern uint32_t __edgert_stack_guard[], __edgert_stack_limit[], __edgert_stack_top[];

int main(void);
_Noreturn void edgert_start(void);

typedef struct {
    uint32_t *stack_top;
    void (*handlers[15])(void);
} vector_table;

/* Interrupts beyond the system's own stay disabled. */
__attribute__((section(".vectors"), used)) static const vector_table vectors = {
    __edgert_stack_top,
    {edgert_start, edgert_fault_entry, edgert_fault_entry, edgert_fault_entry, edgert_fault_entry, edgert_fault_entry,
     edgert_fault_entry, NULL, NULL, NULL, edgert_fault_entry, edgert_fault_entry, NULL, edgert_fault_entry,
     edgert_fault_entry}};

static void enable_coprocessors(void) {
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    EDGERT_REGISTER(CPACR) |= CPACR_CP10_CP11_FULL;
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
}

/* Stop a stack that grows into the data: Armv8-M by a limit of the stack pointer, Armv7-M by a guard that the Memory
 * Protection Unit closes, where there is one. Armv6-M does not notice. */
static void limit_stack(void) {
#if __ARM_ARCH >= 8
    __asm__ volatile("msr msplim, %0" ::"r"(__edgert_stack_limit));
#elif __ARM_ARCH == 7
    if (EDGERT_REGISTER(MPU_TYPE) != 0u) {
        EDGERT_REGISTER(MPU_RBAR) = (uint32_t)(uintptr_t)__edgert_stack_guard | MPU_RBAR_REGION_0;
        EDGERT_REGISTER(MPU_RASR) = MPU_RASR_128_BYTES_NO_ACCESS;
        EDGERT_REGISTER(MPU_CTRL) = MPU_CTRL_ENABLE_OVER_DEFAULT_MAP;
        __asm__ volatile("dsb\n isb" ::: "memory");
    }
#endif
}

/* volatile keeps the compiler from making calls of memcpy and memset, which may use coprocessors or stack. */
static void prepare_memory(void) {
    const uint32_t *from = __edgert_data_source;
    for (volatile uint32_t *to = __edgert_data_start; to < __edgert_data_end; ++to) {
        *to = *from;
        ++from;
    }
    for (volatile uint32_t *to = __edgert_bss_start; to < __edgert_bss_end; ++to) {
        *to = 0u;
    }
}

static void paint_stack(void) {
    const uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    edgert_stack_paint(__edgert_stack_limit, pointer - UNPAINTED_WORDS);
}

_Noreturn void edgert_start(void) {
    limit_stack();
    enable_coprocessors();
    prepare_memory();
    paint_stack();
    (void)main();
    edgert_port_reset();
}

void edgert_port_start(void) {
    edgert_uart_start();
    edgert_clock_start();
}

bool edgert_port_stack_bytes(uint64_t *bytes) {
    *bytes = edgert_stack_used(__edgert_stack_limit, __edgert_stack_top);
    return true;
}

bool edgert_port_resident_bytes(uint64_t *bytes) {
    (void)bytes;
    return false;
}

bool edgert_port_proportional_bytes(uint64_t *bytes) {
    (void)bytes;
    return false;
}

bool edgert_port_use_threads(uint32_t count) {
    return count == 1u;
}
