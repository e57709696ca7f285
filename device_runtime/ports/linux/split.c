/* A pool of threads that wait for their part of a layer. They are started once and never end; the processor's own
 * atomic words and futex(2) are all that it takes. */
#include "edgert_parallel.h"

#include <stdbool.h>
#include <stddef.h>

#include "faults.h"
#include "port.h"
#include "system.h"

enum {
    MAX_THREADS = 64,
    STACK_BYTES = 1 << 20,
    GUARD_BYTES = 1 << 16, /* the largest page that a Linux kernel has */
    SIGNAL_STACK_BYTES = 1 << 16,
    SPINS = 2000, /* some ten microseconds: shorter than a sleep and its end take */
    READ_AND_WRITE = 3,
    NO_ACCESS = 0,
    NO_FILE = -1,
    LARGEST_ERROR = 4095,
    PRIVATE_AND_ANONYMOUS = 0x22,
    FUTEX_WAIT_PRIVATE = 128,
    FUTEX_WAKE_PRIVATE = 129
};

/* One helper: `asked` counts the parts that it was given, `done` those that it has finished. A side that is about to
 * sleep on a word says so first, so that the other need not wake it otherwise. */
typedef struct {
    uint32_t asked;
    uint32_t done;
    uint32_t sleeps;
    uint32_t awaited;
    edgert_work work;
    void *context;
    uint32_t first;
    uint32_t last;
    uint8_t *signal_stack;
} helper;

static helper helpers[MAX_THREADS - 1];
static uint32_t started;
static uint32_t threads = 1u;

static void pause(void) {
#if defined(__x86_64__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Store what a later load of this thread must not pass. On 32-bit Arm by an exchange: the barrier of Armv6, a write to
 * the system control coprocessor, keeps nothing in order under qemu-user. */
static void publish(uint32_t *word, uint32_t value) {
#if defined(__arm__)
    (void)__atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
#else
    __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
#endif
}

/* Wait until `*word` is `wanted`; `*sleeps` is 1 while this thread may be asleep. */
static void await(const uint32_t *word, uint32_t wanted, uint32_t *sleeps) {
    for (uint32_t spin = 0u; spin < SPINS; ++spin) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == wanted) {
            return;
        }
        pause();
    }
    publish(sleeps, 1u);
    uint32_t now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    while (now != wanted) {
        (void)edgert_system_call(CALL_FUTEX, (long)word, FUTEX_WAIT_PRIVATE, (long)now, 0, 0, 0);
        now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    }
    __atomic_store_n(sleeps, 0u, __ATOMIC_RELAXED);
}

static void set(uint32_t *word, uint32_t value, const uint32_t *sleeps) {
    publish(word, value);
    if (__atomic_load_n(sleeps, __ATOMIC_SEQ_CST) != 0u) {
        (void)edgert_system_call(CALL_FUTEX, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
    }
}

static void help(void *argument) {
    helper *own = argument;
    edgert_faults_use_stack(own->signal_stack, SIGNAL_STACK_BYTES);
    for (uint32_t part = 1u;; ++part) {
        await(&own->asked, part, &own->sleeps);
        own->work(own->first, own->last, own->context);
        set(&own->done, part, &own->awaited);
    }
}

/* From the low end: the stack of signals, a closed guard, the thread's own stack. */
static bool start_helper(helper *own) {
    const long bytes = SIGNAL_STACK_BYTES + GUARD_BYTES + STACK_BYTES;
    const long memory = edgert_system_call(CALL_MAP, 0, bytes, READ_AND_WRITE, PRIVATE_AND_ANONYMOUS, NO_FILE, 0);
    if (memory < 0 && memory >= -LARGEST_ERROR) {
        return false;
    }
    (void)edgert_system_call(CALL_PROTECT, memory + SIGNAL_STACK_BYTES, GUARD_BYTES, NO_ACCESS, 0, 0, 0);
    own->signal_stack = (uint8_t *)memory;
    return edgert_system_thread(help, own, own->signal_stack + bytes) > 0;
}

bool edgert_port_use_threads(uint32_t count) {
    if (count > MAX_THREADS) {
        return false;
    }
    while (started + 1u < count) {
        if (!start_helper(&helpers[started])) {
            return false;
        }
        ++started;
    }
    threads = count;
    return true;
}

/* Where part `part` of `parts` begins: the first ones take one more, as far as it goes. */
static uint32_t begin_of(uint32_t part, uint32_t parts, uint32_t count) {
    const uint32_t rest = count % parts;
    return part * (count / parts) + (part < rest ? part : rest);
}

void edgert_split(edgert_work work, void *context, uint32_t count) {
    const uint32_t parts = count < threads ? count : threads;
    for (uint32_t part = 1u; part < parts; ++part) {
        helper *other = &helpers[part - 1u];
        other->work = work;
        other->context = context;
        other->first = begin_of(part, parts, count);
        other->last = begin_of(part + 1u, parts, count);
        set(&other->asked, other->asked + 1u, &other->sleeps);
    }
    if (parts != 0u) {
        work(0u, begin_of(1u, parts, count), context);
    }
    for (uint32_t part = 1u; part < parts; ++part) {
        helper *other = &helpers[part - 1u];
        await(&other->done, other->asked, &other->awaited);
    }
}
