/* 150 MHz from the crystal (RP2350 Datasheet, 8.1: clocks; 8.2: XOSC; 8.6: PLL; 7.5: resets; 9.8: pads, which are isolated until
 * they are set up). */
#include "../cortex_m/cycle_counter.h"
#include "../cortex_m/devices.h"
#include "../rp2/uart.h"
#include "board.h"

#define RESETS_RESET EDGERT_REGISTER(0x40020000u)
#define RESETS_DONE EDGERT_REGISTER(0x40020008u)
#define CLOCK_REFERENCE EDGERT_REGISTER(0x40010030u)
#define CLOCK_REFERENCE_SELECTED EDGERT_REGISTER(0x40010038u)
#define CLOCK_SYSTEM EDGERT_REGISTER(0x4001003Cu)
#define CLOCK_SYSTEM_SELECTED EDGERT_REGISTER(0x40010044u)
#define CLOCK_PERIPHERALS EDGERT_REGISTER(0x40010048u)
#define XOSC_CONTROL EDGERT_REGISTER(0x40048000u)
#define XOSC_STATUS EDGERT_REGISTER(0x40048004u)
#define XOSC_STARTUP EDGERT_REGISTER(0x4004800Cu)
#define PLL_CONTROL EDGERT_REGISTER(0x40050000u)
#define PLL_POWER EDGERT_REGISTER(0x40050004u)
#define PLL_FEEDBACK EDGERT_REGISTER(0x40050008u)
#define PLL_DIVIDERS EDGERT_REGISTER(0x4005000Cu)
#define PIN_0_FUNCTION EDGERT_REGISTER(0x40028004u)
#define PIN_1_FUNCTION EDGERT_REGISTER(0x4002800Cu)
#define PAD_0 EDGERT_REGISTER(0x40038004u)
#define PAD_1 EDGERT_REGISTER(0x40038008u)

#define RESET_PINS (1u << 6)
#define RESET_PADS (1u << 9)
#define RESET_PLL (1u << 14)
#define RESET_UART (1u << 26)
#define CLOCKED_BY_CORE (RESET_PINS | RESET_PADS | RESET_PLL)

#define XOSC_1_TO_15_MHZ 0xAA0u
#define XOSC_ENABLE 0xFAB000u
#define XOSC_STABLE (1u << 31)
#define XOSC_A_MILLISECOND 47u /* of 256 clocks of 12 MHz */
#define PLL_LOCKED (1u << 31)
#define PLL_TIMES_125 125u
#define PLL_BY_5_AND_2 (5u << 16 | 2u << 12)
#define PLL_CORE_OFF ((1u << 5) | 1u)
#define PLL_DIVIDERS_OFF (1u << 3)
#define REFERENCE_CRYSTAL 2u
#define SYSTEM_REFERENCE 0u
#define SYSTEM_PLL 1u
#define PERIPHERALS_ENABLE (1u << 11)
#define FUNCTION_UART 2u
/* Input on, 4 mA, pulled up, Schmitt trigger; bit 8, the isolation, off. */
#define PAD_UART ((1u << 6) | (1u << 4) | (1u << 3) | (1u << 1))

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
    PLL_DIVIDERS = PLL_BY_5_AND_2;
    PLL_POWER &= ~PLL_DIVIDERS_OFF;
    CLOCK_SYSTEM = SYSTEM_PLL;
    while ((CLOCK_SYSTEM_SELECTED & (1u << SYSTEM_PLL)) == 0u) {
    }
}

static void release(uint32_t blocks) {
    RESETS_RESET &= ~blocks;
    while ((RESETS_DONE & blocks) != blocks) {
    }
}

/* The UART only comes out of reset with its clock running. */
void rp2_board_start(void) {
    release(CLOCKED_BY_CORE);
    start_crystal();
    start_pll();
    CLOCK_PERIPHERALS = PERIPHERALS_ENABLE;
    release(RESET_UART);
    PIN_0_FUNCTION = FUNCTION_UART;
    PIN_1_FUNCTION = FUNCTION_UART;
    PAD_0 = PAD_UART;
    PAD_1 = PAD_UART;
}

uint32_t edgert_core_hz(void) {
    return BOARD_CLOCK_HZ;
}
