/* Procedure Call Standard for the Arm Architecture: arguments in r0 to r3 and on the stack; a system call (EABI) takes
 * its own in r0 to r5 and its number in r7. Division is here too: ARM1176 and Cortex-A8 have no instruction for it, and
 * Debian's libgcc is made for Armv7. */
#if defined(__arm__)
#include <stdint.h>

__asm__(".syntax unified\n"
        ".text\n"
        ".arm\n"
        ".globl _start\n"
        "_start:\n"
        "  mov r11, #0\n"
        "  mov r0, sp\n"
        "  bic sp, sp, #7\n"
        "  bl edgert_system_begin\n"
        ".globl edgert_system_call\n"
        ".type edgert_system_call, %function\n"
        "edgert_system_call:\n"
        "  mov ip, sp\n"
        "  push {r4, r5, r6, r7}\n"
        "  mov r7, r0\n"
        "  mov r0, r1\n"
        "  mov r1, r2\n"
        "  mov r2, r3\n"
        "  ldm ip, {r3, r4, r5}\n"
        "  svc #0\n"
        "  pop {r4, r5, r6, r7}\n"
        "  bx lr\n"
        ".size edgert_system_call, . - edgert_system_call\n"
        /* clone(CLONE_VM | FS | FILES | SIGHAND | THREAD | SYSVSEM, stack): the child begins with 0 in r0, and finds
         * what to run and its argument on its stack. */
        ".globl edgert_system_thread\n"
        ".type edgert_system_thread, %function\n"
        "edgert_system_thread:\n"
        "  push {r4, r7}\n"
        "  bic r2, r2, #15\n"
        "  sub r2, r2, #8\n"
        "  stm r2, {r0, r1}\n"
        "  mov r0, #0x50000\n"
        "  orr r0, r0, #0xF00\n"
        "  mov r1, r2\n"
        "  mov r2, #0\n"
        "  mov r3, #0\n"
        "  mov r4, #0\n"
        "  mov r7, #120\n"
        "  svc #0\n"
        "  cmp r0, #0\n"
        "  bne 1f\n"
        "  mov r11, #0\n"
        "  pop {r1, r2}\n"
        "  mov r0, r2\n"
        "  blx r1\n"
        "  udf #0\n"
        "1: pop {r4, r7}\n"
        "  bx lr\n"
        ".size edgert_system_thread, . - edgert_system_thread\n"
        ".globl edgert_signal_return\n"
        ".type edgert_signal_return, %function\n"
        "edgert_signal_return:\n"
        "  mov r7, #173\n"
        "  svc #0\n"
        ".size edgert_signal_return, . - edgert_signal_return\n");

/* Quotient in the low, remainder in the high word: r0 and r1, as the Run-time ABI for the Arm Architecture (section
 * 5.3.1) wants it. Long division, a bit at a time. */
uint64_t __aeabi_uidivmod(uint32_t numerator, uint32_t denominator);
uint64_t __aeabi_idivmod(int32_t numerator, int32_t denominator);
uint32_t __aeabi_uidiv(uint32_t numerator, uint32_t denominator);
int32_t __aeabi_idiv(int32_t numerator, int32_t denominator);

uint64_t __aeabi_uidivmod(uint32_t numerator, uint32_t denominator) {
    uint32_t quotient = 0u;
    uint32_t rest = 0u;
    for (uint32_t bit = 32u; bit-- > 0u && denominator != 0u;) {
        const uint32_t carry = rest >> 31;
        rest = rest << 1 | (numerator >> bit & 1u);
        if (carry != 0u || rest >= denominator) {
            rest -= denominator;
            quotient |= 1u << bit;
        }
    }
    return (uint64_t)rest << 32 | quotient;
}

static uint32_t magnitude(int32_t value) {
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

uint64_t __aeabi_idivmod(int32_t numerator, int32_t denominator) {
    const uint64_t both = __aeabi_uidivmod(magnitude(numerator), magnitude(denominator));
    const uint32_t quotient = (numerator < 0) != (denominator < 0) ? 0u - (uint32_t)both : (uint32_t)both;
    const uint32_t rest = numerator < 0 ? 0u - (uint32_t)(both >> 32) : (uint32_t)(both >> 32);
    return (uint64_t)rest << 32 | quotient;
}

uint32_t __aeabi_uidiv(uint32_t numerator, uint32_t denominator) {
    return (uint32_t)__aeabi_uidivmod(numerator, denominator);
}

int32_t __aeabi_idiv(int32_t numerator, int32_t denominator) {
    return (int32_t)(uint32_t)__aeabi_idivmod(numerator, denominator);
}
#endif
