/* A network by hand, of two int8 layers, to test the runtime without the compiler.
 *
 * input  int8 (1, TOY_WIDTH)   layer 0: absolute value, saturated   layer 1: sum of each quarter, saturated
 * output int8 (1, 4)
 *
 * TOY_FAULT 1 plants a call of NULL, 2 an undefined instruction, 3 a read far outside of memory, 4 an endless recursion, 5 an
 * endless loop, all in layer 1. TOY_SPIN makes layer 1 spin that many turns of a loop, on Arm of two instructions.
 */
#include <stddef.h>

#include "edgert.h"

#define TOY_WIDTH 16u

#ifndef TOY_TARGET
#define TOY_TARGET "host"
#endif
#ifndef TOY_BUILD_BYTE
#define TOY_BUILD_BYTE 0xA5u
#endif
#ifndef TOY_FAULT
#define TOY_FAULT 0
#endif
#ifndef TOY_SPIN
#define TOY_SPIN 0u
#endif

static int8_t arena[TOY_WIDTH + TOY_WIDTH + 4u];

static int8_t saturate(int32_t value) {
    return (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
}

static void absolute(void) {
    for (uint32_t i = 0u; i < TOY_WIDTH; ++i) {
        const int32_t value = arena[i];
        arena[TOY_WIDTH + i] = saturate(value < 0 ? -value : value);
    }
}

static void sum_quarters(void) {
    for (uint32_t quarter = 0u; quarter < 4u; ++quarter) {
        int32_t sum = 0;
        for (uint32_t i = 0u; i < TOY_WIDTH / 4u; ++i) {
            sum += arena[TOY_WIDTH + quarter * (TOY_WIDTH / 4u) + i];
        }
        arena[2u * TOY_WIDTH + quarter] = saturate(sum);
    }
}

static void spin(uint32_t turns) {
#if defined(__arm__)
    if (turns != 0u) {
        __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n bne 1b" : "+l"(turns)::"cc");
    }
#elif defined(__aarch64__)
    if (turns != 0u) {
        __asm__ volatile("1: subs %w0, %w0, #1\n b.ne 1b" : "+r"(turns)::"cc");
    }
#else
    for (volatile uint32_t i = 0u; i < turns; ++i) {
    }
#endif
}

#if TOY_FAULT == 4
/* The sum after the call keeps the compiler from making a loop of it. */
__attribute__((noinline)) static uint32_t descend(volatile uint32_t *depth) {
    volatile uint32_t here[64] = {*depth};
    ++*depth;
    return *depth == 0u ? 0u : descend(depth) + here[0];
}
#endif

static void fail(void) {
#if TOY_FAULT == 1
    void (*volatile nothing)(void) = NULL;
    nothing();
#elif TOY_FAULT == 2
    __builtin_trap();
#elif TOY_FAULT == 3
    volatile uint32_t *volatile nowhere = (volatile uint32_t *)(uintptr_t)0xEFFFFFF0u;
    (void)*nowhere;
#elif TOY_FAULT == 4
    volatile uint32_t depth = 0u;
    (void)descend(&depth);
#elif TOY_FAULT == 5
    for (volatile uint32_t turns = 0u;; ++turns) {
    }
#endif
}

static void toy_run_layer(uint32_t layer) {
    if (layer == 0u) {
        absolute();
        return;
    }
    fail();
    spin(TOY_SPIN);
    sum_quarters();
}

static void toy_run(void) {
    toy_run_layer(0u);
    toy_run_layer(1u);
}

/* 0x3D800000 is 1/16 as a float32. */
static const edgert_tensor inputs[] = {
    {"signal", EDGERT_INT8, 2u, {1u, TOY_WIDTH}, 0x3D800000u, -3, TOY_WIDTH, &arena[0]}};
static const edgert_tensor outputs[] = {{"sums", EDGERT_INT8, 2u, {1u, 4u}, 0u, 0, 4u, &arena[2u * TOY_WIDTH]}};

const edgert_network edgert_installed_network = {
    {TOY_BUILD_BYTE, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 11u, 12u, 13u, 14u, 15u},
    TOY_TARGET,
    1u,
    1u,
    2u,
    sizeof arena,
    0u,
    inputs,
    outputs,
    toy_run,
    toy_run_layer};
