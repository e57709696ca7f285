/* 125 MHz from the crystal (RP2040 Datasheet, 2.15: clocks; 2.16: XOSC; 2.18: PLL; 2.14: resets), and the 64-bit timer (4.6), which
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
#define XOSC_CONTROL EDGERT_REGISTER(0x40024000u)
#define XOSC_STATUS EDGERT_REGISTER(0x40024004u)
#define XOSC_STARTUP EDGERT_REGISTER(0x4002400Cu)
#define PLL_CONTROL EDGERT_REGISTER(0x40028000u)
#define PLL_POWER EDGERT_REGISTER(0x40028004u)
#define PLL_FEEDBACK EDGERT_REGISTER(0x40028008u)
#define PLL_DIVIDERS EDGERT_REGISTER(0x4002800Cu)
#define WATCHDOG_TICK EDGERT_REGISTER(0x4005802Cu)
#define TIMER_HIGH EDGERT_REGISTER(0x40054024u)
#define TIMER_LOW EDGERT_REGISTER(0x40054028u)
#define PIN_0_FUNCTION EDGERT_REGISTER(0x40014004u)
#define PIN_1_FUNCTION EDGERT_REGISTER(0x4001400Cu)

#define RESET_PINS (1u << 5)
#define RESET_PADS (1u << 8)
#define RESET_PLL (1u << 12)
#define RESET_TIMER (1u << 21)
#define RESET_UART (1u << 22)
#define IN_USE (RESET_PINS | RESET_PADS | RESET_PLL | RESET_TIMER | RESET_UART)

#define XOSC_1_TO_15_MHZ 0xAA0u
#define XOSC_ENABLE 0xFAB000u
#define XOSC_STABLE (1u << 31)
#define XOSC_A_MILLISECOND 47u /* of 256 clocks of 12 MHz */
#define CRYSTAL_MHZ 12u
#define PLL_LOCKED (1u << 31)
#define PLL_TIMES_125 125u
#define PLL_BY_6_AND_2 (6u << 16 | 2u << 12)
#define PLL_CORE_OFF ((1u << 5) | 1u)
#define PLL_DIVIDERS_OFF (1u << 3)
#define REFERENCE_CRYSTAL 2u
#define SYSTEM_REFERENCE 0u
#define SYSTEM_PLL 1u
#define PERIPHERALS_ENABLE (1u << 11)
#define TICK_ENABLE (1u << 9)
#define FUNCTION_UART 2u
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

/* The PLL is set up while the core runs from the crystal. */
static void start_pll(void) {
    CLOCK_SYSTEM = SYSTEM_REFERENCE;
    while ((CLOCK_SYSTEM_SELECTED & (1u << SYSTEM_REFERENCE)) == 0u) {
    }
    PLL_CONTROL = 1u;
    PLL_FEEDBACK = PLL_TIMES_125;
    PLL_POWER &= ~PLL_CORE_OFF;
    while ((PLL_CONTROL & PLL_LOCKED) == 0u) {
    }
    PLL_DIVIDERS = PLL_BY_6_AND_2;
    PLL_POWER &= ~PLL_DIVIDERS_OFF;
    CLOCK_SYSTEM = SYSTEM_PLL;
    while ((CLOCK_SYSTEM_SELECTED & (1u << SYSTEM_PLL)) == 0u) {
    }
}

void rp2_board_start(void) {
    RESETS_RESET &= ~IN_USE;
    while ((RESETS_DONE & IN_USE) != IN_USE) {
    }
    start_crystal();
    start_pll();
    CLOCK_PERIPHERALS = PERIPHERALS_ENABLE;
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
