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

/* Words below the stack pointer that painting leaves alone: the frame of the painting function itself. */
#define UNPAINTED_WORDS 16

extern uint32_t __edgert_data_start[], __edgert_data_end[], __edgert_bss_start[], __edgert_bss_end[];
extern const uint32_t __edgert_data_source[];
extern uint32_t __edgert_stack_limit[], __edgert_stack_top[];

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

/* Armv8-M stops a stack that grows into the data. */
static void limit_stack(void) {
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm__ volatile("msr msplim, %0" ::"r"(__edgert_stack_limit));
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
