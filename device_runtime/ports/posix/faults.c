#define _GNU_SOURCE

#include "faults.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "fault.h"

/* The record crosses execve as hex digits in this environment variable. */
#define VARIABLE "EDGERT_FAULT"

enum { RECORD_BYTES = sizeof(edgert_fault_record), PREFIX = sizeof VARIABLE, ALTERNATE_STACK_BYTES = 65536 };

static const char digits[] = "0123456789abcdef";
static char environment_entry[PREFIX + 2 * RECORD_BYTES + 1] = VARIABLE "=";

/* The network's own stack may be what failed. */
static uint8_t alternate_stack[ALTERNATE_STACK_BYTES];

static edgert_fault_kind kind_of(int number) {
    switch (number) {
    case SIGILL: return EDGERT_FAULT_ILLEGAL_INSTRUCTION;
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
#else
    (void)context;
    return 0u;
#endif
}

static void handle(int number, siginfo_t *information, void *context) {
    edgert_fault_store(kind_of(number), program_counter(context), (uintptr_t)information->si_addr, (uint32_t)number);
    edgert_faults_restart();
}

_Noreturn void edgert_faults_restart(void) {
    char program[] = "/proc/self/exe";
    char *arguments[] = {program, NULL};
    char *environment[] = {environment_entry, NULL};
    const edgert_fault_record *record = edgert_fault_find();
    for (size_t i = 0u; record != NULL && i < RECORD_BYTES; ++i) {
        const uint8_t byte = ((const uint8_t *)record)[i];
        environment_entry[PREFIX + 2u * i] = digits[byte >> 4];
        environment_entry[PREFIX + 2u * i + 1u] = digits[byte & 15u];
    }
    (void)execve(program, arguments, record != NULL ? environment : &environment[1]);
    _exit(1);
}

static void restore_record(void) {
    const char *text = getenv(VARIABLE);
    uint8_t bytes[RECORD_BYTES] = {0};
    edgert_fault_record record;
    if (text == NULL || strlen(text) != 2u * RECORD_BYTES) {
        return;
    }
    for (size_t i = 0u; i < 2u * RECORD_BYTES; ++i) {
        const char *digit = strchr(digits, text[i]);
        if (digit == NULL) {
            return;
        }
        bytes[i / 2u] = (uint8_t)((unsigned)bytes[i / 2u] << 4 | (unsigned)(digit - digits));
    }
    memcpy(&record, bytes, sizeof record);
    edgert_fault_restore(&record);
}

void edgert_faults_install(void) {
    static const int fatal[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGABRT};
    const stack_t stack = {.ss_sp = alternate_stack, .ss_size = sizeof alternate_stack};
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    (void)sigaltstack(&stack, NULL);
    for (size_t i = 0u; i < sizeof fatal / sizeof *fatal; ++i) {
        (void)sigaction(fatal[i], &action, NULL);
    }
    restore_record();
}
