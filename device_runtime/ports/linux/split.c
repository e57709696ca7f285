/* A pool of threads that wait for a share of a layer. They are started once and never end; the processor's own atomic
 * words and futex(2) are all that it takes.
 *
 * Every thread has a share of a loop's turns, always the same one, so that it finds in its cache what it wrote for the
 * layer before; who is done with its own takes from the others'. A helper that has not begun when the caller has seen to
 * everything is not waited for: its offer is taken back. */
#include "edgert_parallel.h"

#include <stdbool.h>
#include <stddef.h>

#include "faults.h"
#include "pin.h"
#include "port.h"
#include "system.h"

enum {
    MAX_THREADS = 64,
    STACK_BYTES = 1 << 20,
    GUARD_BYTES = 1 << 16, /* the largest page that a Linux kernel has */
    SIGNAL_STACK_BYTES = 1 << 16,
    CACHE_LINE = 64,
    PORTION = 2,       /* what is taken at once is half of what is left: few portions, and at last small ones */
    SPINS = 1000,      /* ten microseconds, some more where a processor's pause is long */
    WATCH_NS = 200000, /* longer than what one core does alone between two layers */
    READ_AND_WRITE = 3,
    NO_ACCESS = 0,
    NO_FILE = -1,
    LARGEST_ERROR = 4095,
    PRIVATE_AND_ANONYMOUS = 0x22,
    FUTEX_WAIT_PRIVATE = 128,
    FUTEX_WAKE_PRIVATE = 129
};

/* What a helper does. The caller offers, and takes an offer back that nobody took up; the helper takes it up and rests. */
enum { RESTING, OFFERED, WORKING };

/* A thread, and its share of the turns of the loop that is computed now: from `next`, the first that nobody has taken, to
 * `end`. What it reads first lies in one line, for a line of another core comes slowly. A side that is about to sleep says
 * so first, so that the other need not wake it otherwise. */
typedef struct {
    _Alignas(CACHE_LINE) uint32_t state;
    uint32_t sleeps;
    uint32_t awaited;
    uint32_t next;
    uint32_t end;
    uint32_t parts;
    edgert_work work;
    void *context;
    uint8_t *signal_stack;
} member;

static member members[MAX_THREADS]; /* the first is the caller, the others help it */
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

/* True as soon as `*word` is `wanted`. To wake a thread that sleeps takes as long as some layers, so first it is awake for
 * a while: a moment without a system call, then with its core on offer to whoever else wants it. */
static bool comes_soon(const uint32_t *word, uint32_t wanted) {
    for (uint32_t spin = 0u; spin < SPINS; ++spin) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == wanted) {
            return true;
        }
        pause();
    }
    const uint64_t begin = edgert_port_ticks();
    while (edgert_port_ticks() - begin < WATCH_NS) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == wanted) {
            return true;
        }
        (void)edgert_system_call(CALL_YIELD, 0, 0, 0, 0, 0, 0);
    }
    return false;
}

/* Wait until `*word` is `wanted`; `*sleeps` is 1 while this thread may be asleep. */
static void await(const uint32_t *word, uint32_t wanted, uint32_t *sleeps) {
    if (comes_soon(word, wanted)) {
        return;
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

/* Put `by` in the place of `value`; false when the word holds something else. In assembler on aarch64, where compilers
 * call functions of a library for it. */
static bool replace(uint32_t *word, uint32_t value, uint32_t by) {
#if defined(__aarch64__)
    uint32_t found, failed;
    do {
        __asm__ volatile("ldaxr %w0, %1" : "=r"(found) : "Q"(*word) : "memory");
        if (found != value) {
            return false;
        }
        __asm__ volatile("stlxr %w0, %w2, %1" : "=&r"(failed), "=Q"(*word) : "r"(by) : "memory");
    } while (failed != 0u);
    return true;
#else
    return __atomic_compare_exchange_n(word, &value, by, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
#endif
}

/* Take some of the turns that are left of a share: from `*first` to `*end`. False when there are none. */
static bool take(member *from, uint32_t *first, uint32_t *end) {
    do {
        *first = __atomic_load_n(&from->next, __ATOMIC_RELAXED);
        if (*first == from->end) {
            return false;
        }
        *end = *first + (from->end - *first + PORTION - 1u) / PORTION;
    } while (!replace(&from->next, *first, *end));
    return true;
}

/* Compute what is left of the shares, the own one first. */
static void compute(const member *own) {
    const uint32_t parts = own->parts, number = (uint32_t)(own - members);
    for (uint32_t i = 0u; i < parts; ++i) {
        member *const from = &members[(number + i) % parts];
        uint32_t first, end;
        while (take(from, &first, &end)) {
            own->work(first, end, own->context);
        }
    }
}

static void help(void *argument) {
    member *own = argument;
    edgert_faults_use_stack(own->signal_stack, SIGNAL_STACK_BYTES);
    edgert_pin((uint32_t)(own - members));
    for (;;) {
        await(&own->state, OFFERED, &own->sleeps);
        if (replace(&own->state, OFFERED, WORKING)) {
            compute(own);
            set(&own->state, RESTING, &own->awaited);
        }
    }
}

/* From the low end: the stack of signals, a closed guard, the thread's own stack. */
static bool start_helper(member *own) {
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
    edgert_find_cores();
    edgert_pin(0u);
    while (started + 1u < count) {
        if (!start_helper(&members[started + 1u])) {
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
    if (parts <= 1u) {
        if (count != 0u) {
            work(0u, count, context);
        }
        return;
    }
    for (uint32_t part = 0u; part < parts; ++part) {
        member *const each = &members[part];
        each->next = begin_of(part, parts, count);
        each->end = begin_of(part + 1u, parts, count);
        each->parts = parts;
        each->work = work;
        each->context = context;
    }
    for (uint32_t part = 1u; part < parts; ++part) {
        set(&members[part].state, OFFERED, &members[part].sleeps);
    }
    compute(&members[0]);
    for (uint32_t part = 1u; part < parts; ++part) {
        member *const other = &members[part];
        if (!replace(&other->state, OFFERED, RESTING)) {
            await(&other->state, RESTING, &other->awaited);
        }
    }
}
