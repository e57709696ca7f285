#define _GNU_SOURCE

#include "faults.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "fault.h"
#include "system.h"

/* The record crosses execve as hex digits in this environment variable. */
#define VARIABLE "EDGERT_FAULT"

enum {
    RECORD_BYTES = sizeof(edgert_fault_record),
    PREFIX = sizeof VARIABLE,
    ALTERNATE_STACK_BYTES = 65536,
    PATH_BYTES = 4096,
    RESTORER_FLAG = 0x04000000
};

/* `struct sigaction` of the kernel, which no C library shows. */
typedef struct {
    void (*handle)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
} kernel_action;

/* Ends a handler that returns; in system_ARCHITECTURE.c. Ours do not, but x86-64 asks for one. */
void edgert_signal_return(void);

static const char digits[] = "0123456789abcdef";
static char environment_entry[PREFIX + 2 * RECORD_BYTES + 1] = VARIABLE "=";

/* The network's own stack may be what failed. */
static uint8_t alternate_stack[ALTERNATE_STACK_BYTES];

static edgert_fault_kind kind_of(int number) {
    switch (number) {
    case SIGILL:
    case SIGTRAP: return EDGERT_FAULT_ILLEGAL_INSTRUCTION; /* the compiler's trap is a breakpoint on aarch64 */
    case SIGSEGV: return EDGERT_FAULT_BAD_ADDRESS;
    case SIGBUS: return EDGERT_FAULT_BUS;
    case SIGFPE: return EDGERT_FAULT_ARITHMETIC;
    default: return EDGERT_FAULT_ABORT;
    }
}

static uint64_t program_counter(const ucontext_t *context) {
#if defined(__x86_64__)
    return (uint64_t)context->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return context->uc_mcontext.pc;
#elif defined(__arm__)
    return context->uc_mcontext.arm_pc;
#endif
}

static void handle(int number, siginfo_t *information, void *context) {
    edgert_fault_store(kind_of(number), program_counter(context), (uintptr_t)information->si_addr, (uint32_t)number);
    edgert_faults_restart();
}

/* Execute a program with what was prepared in its environment; returns only when that fails. */
static void execute(char *program, char **environment) {
    char *arguments[] = {program, NULL};
    (void)edgert_system_call(CALL_EXECUTE, (long)program, (long)arguments, (long)environment, 0, 0, 0);
}

_Noreturn void edgert_faults_restart(void) {
    static char path[PATH_BYTES];
    char link[] = "/proc/self/exe";
    char *environment[] = {environment_entry, NULL};
    const edgert_fault_record *record = edgert_fault_find();
    for (size_t i = 0u; record != NULL && i < RECORD_BYTES; ++i) {
        const uint8_t byte = ((const uint8_t *)record)[i];
        environment_entry[PREFIX + 2u * i] = digits[byte >> 4];
        environment_entry[PREFIX + 2u * i + 1u] = digits[byte & 15u];
    }
    char **first = &environment[record != NULL ? 0 : 1];
    /* By its path first: under an emulator of one program, the link's file is the emulator. */
    if (edgert_system_call(CALL_READ_LINK_AT, AT_WORKING_FOLDER, (long)link, (long)path, PATH_BYTES - 1, 0, 0) > 0) {
        execute(path, first);
    }
    execute(link, first);
    edgert_exit(1);
}

static int value_of(char digit) {
    for (int value = 0; value < 16; ++value) {
        if (digits[value] == digit) {
            return value;
        }
    }
    return -1;
}

static void restore_record(void) {
    const char *text = edgert_system_environment(VARIABLE);
    uint8_t bytes[RECORD_BYTES] = {0};
    edgert_fault_record record;
    if (text == NULL || strlen(text) != 2u * RECORD_BYTES) {
        return;
    }
    for (size_t i = 0u; i < 2u * RECORD_BYTES; ++i) {
        const int value = value_of(text[i]);
        if (value < 0) {
            return;
        }
        bytes[i / 2u] = (uint8_t)((unsigned)bytes[i / 2u] << 4 | (unsigned)value);
    }
    memcpy(&record, bytes, sizeof record);
    edgert_fault_restore(&record);
}

void edgert_faults_use_stack(void *low, size_t bytes) {
    const stack_t stack = {.ss_sp = low, .ss_size = bytes};
    (void)edgert_system_call(CALL_SIGNAL_STACK, (long)&stack, 0, 0, 0, 0, 0);
}

void edgert_faults_install(void) {
    static const int fatal[] = {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    const kernel_action action = {
        .handle = handle,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | RESTORER_FLAG,
        .restorer = edgert_signal_return,
    };
    edgert_faults_use_stack(alternate_stack, sizeof alternate_stack);
    for (size_t i = 0u; i < sizeof fatal / sizeof *fatal; ++i) {
        (void)edgert_system_call(CALL_SIGNAL_ACTION, fatal[i], (long)&action, 0, sizeof action.mask, 0, 0);
    }
    restore_record();
}
