/* 125 MHz for the core and 48 MHz for USB from the crystal (RP2040 Datasheet, 2.15: clocks; 2.16: XOSC; 2.18: PLL; 2.14: resets), and the 64-bit timer (4.6), which
 * counts microseconds by the tick of the watchdog (4.7.2). */
#include "../cortex_m/devices.h"
#include "../rp2/uart.h"
#include "board.h"
#include "port.h"

#define RESETS_RESET EDGERT_REGISTER(0x4000C000u)
#define RESETS_DONE EDGERT_REGISTER(0x4000C008u)
#define CLOCK_REFERENCE EDGERT_REGISTER(0x40008030u)
#define CLOCK_REFERENCE_SELECTED EDGERT_REGISTER(0x40008038u)
#define CLOCK_SYSTEM EDGERT_REGISTER(0x4000803Cu)
#define CLOCK_SYSTEM_SELECTED EDGERT_REGISTER(0x40008044u)
#define CLOCK_PERIPHERALS EDGERT_REGISTER(0x40008048u)
#define CLOCK_USB EDGERT_REGISTER(0x40008054u)
#define XOSC_CONTROL EDGERT_REGISTER(0x40024000u)
#define XOSC_STATUS EDGERT_REGISTER(0x40024004u)
#define XOSC_STARTUP EDGERT_REGISTER(0x4002400Cu)
#define PLL_SYSTEM 0x40028000u
#define PLL_USB 0x4002C000u
#define PLL_CONTROL(pll) EDGERT_REGISTER((pll) + 0x0u)
#define PLL_POWER(pll) EDGERT_REGISTER((pll) + 0x4u)
#define PLL_FEEDBACK(pll) EDGERT_REGISTER((pll) + 0x8u)
#define PLL_DIVIDERS(pll) EDGERT_REGISTER((pll) + 0xCu)
#define WATCHDOG_TICK EDGERT_REGISTER(0x4005802Cu)
#define TIMER_HIGH EDGERT_REGISTER(0x40054024u)
#define TIMER_LOW EDGERT_REGISTER(0x40054028u)
#define PIN_0_FUNCTION EDGERT_REGISTER(0x40014004u)
#define PIN_1_FUNCTION EDGERT_REGISTER(0x4001400Cu)
#define PAD_1 EDGERT_REGISTER(0x4001C008u)

#define RESET_PINS (1u << 5)
#define RESET_PADS (1u << 8)
#define RESET_PLL (1u << 12)
#define RESET_PLL_USB (1u << 13)
#define RESET_TIMER (1u << 21)
#define RESET_UART (1u << 22)
#define RESET_USB (1u << 24)
#define CLOCKED_BY_CORE (RESET_PINS | RESET_PADS | RESET_PLL | RESET_PLL_USB | RESET_TIMER)
#define CLOCKED_APART (RESET_UART | RESET_USB)

#define XOSC_1_TO_15_MHZ 0xAA0u
#define XOSC_ENABLE 0xFAB000u
#define XOSC_STABLE (1u << 31)
#define XOSC_A_MILLISECOND 47u /* of 256 clocks of 12 MHz */
#define CRYSTAL_MHZ 12u
#define PLL_LOCKED (1u << 31)
#define PLL_TIMES_125 125u
#define PLL_BY_6_AND_2 (6u << 16 | 2u << 12)
#define PLL_TIMES_100 100u
#define PLL_BY_5_AND_5 (5u << 16 | 5u << 12)
#define PLL_CORE_OFF ((1u << 5) | 1u)
#define PLL_DIVIDERS_OFF (1u << 3)
#define REFERENCE_CRYSTAL 2u
#define SYSTEM_REFERENCE 0u
#define SYSTEM_PLL 1u
#define CLOCK_ENABLE (1u << 11)
#define TICK_ENABLE (1u << 9)
#define FUNCTION_UART 2u
/* Input on, 4 mA, pulled up, Schmitt trigger: a line that nobody drives is idle. */
#define PAD_PULLED_UP ((1u << 6) | (1u << 4) | (1u << 3) | (1u << 1))
#define TICKS_A_SECOND 1000000u

static void start_crystal(void) {
    XOSC_STARTUP = XOSC_A_MILLISECOND;
    XOSC_CONTROL = XOSC_1_TO_15_MHZ | XOSC_ENABLE;
    while ((XOSC_STATUS & XOSC_STABLE) == 0u) {
    }
    CLOCK_REFERENCE = REFERENCE_CRYSTAL;
    while ((CLOCK_REFERENCE_SELECTED & (1u << REFERENCE_CRYSTAL)) == 0u) {
    }
}

static void start_pll(uint32_t pll, uint32_t times, uint32_t dividers) {
    PLL_CONTROL(pll) = 1u;
    PLL_FEEDBACK(pll) = times;
    PLL_POWER(pll) &= ~PLL_CORE_OFF;
    while ((PLL_CONTROL(pll) & PLL_LOCKED) == 0u) {
    }
    PLL_DIVIDERS(pll) = dividers;
    PLL_POWER(pll) &= ~PLL_DIVIDERS_OFF;
}

/* The PLL is set up while the core runs from the crystal. */
static void start_system_clock(void) {
    CLOCK_SYSTEM = SYSTEM_REFERENCE;
    while ((CLOCK_SYSTEM_SELECTED & (1u << SYSTEM_REFERENCE)) == 0u) {
    }
    start_pll(PLL_SYSTEM, PLL_TIMES_125, PLL_BY_6_AND_2);
    CLOCK_SYSTEM = SYSTEM_PLL;
    while ((CLOCK_SYSTEM_SELECTED & (1u << SYSTEM_PLL)) == 0u) {
    }
}

static void release(uint32_t blocks) {
    RESETS_RESET &= ~blocks;
    while ((RESETS_DONE & blocks) != blocks) {
    }
}

/* A reset of the core alone leaves the peripherals as they are: the host must see that the USB device was gone. UART and USB
 * only come out of reset with their clocks running. */
void rp2_board_start(void) {
    RESETS_RESET |= RESET_USB | RESET_PLL_USB;
    release(CLOCKED_BY_CORE);
    start_crystal();
    start_system_clock();
    start_pll(PLL_USB, PLL_TIMES_100, PLL_BY_5_AND_5);
    CLOCK_PERIPHERALS = CLOCK_ENABLE;
    CLOCK_USB = CLOCK_ENABLE;
    release(CLOCKED_APART);
    PAD_1 = PAD_PULLED_UP;
    PIN_0_FUNCTION = FUNCTION_UART;
    PIN_1_FUNCTION = FUNCTION_UART;
}

void edgert_clock_start(void) {
    WATCHDOG_TICK = TICK_ENABLE | CRYSTAL_MHZ;
}

/* The low half may turn over between the two reads: then the high half differs, and both are read again. */
uint64_t edgert_port_ticks(void) {
    uint32_t high;
    uint32_t low;
    do {
        high = TIMER_HIGH;
        low = TIMER_LOW;
    } while (high != TIMER_HIGH);
    return ((uint64_t)high << 32) | low;
}

uint64_t edgert_port_ticks_per_second(void) {
    return TICKS_A_SECOND;
}
