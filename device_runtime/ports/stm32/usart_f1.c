/* The USART of the STM32F1, F2 and F4 (RM0090, 30.6; RM0041, 23.6), 8 data bits, no parity, 16 samples a bit. */
#include "../cortex_m/devices.h"
#include "board.h"
#include "clock.h"
#include "pins.h"
#include "port.h"

#define STATUS EDGERT_REGISTER(BOARD_UART)
#define DATA EDGERT_REGISTER(BOARD_UART + 0x04u)
#define BAUD_RATE EDGERT_REGISTER(BOARD_UART + 0x08u)
#define CONTROL EDGERT_REGISTER(BOARD_UART + 0x0Cu)

#define STATUS_RECEIVED (1u << 5)
#define STATUS_SEND_EMPTY (1u << 7)
#define CONTROL_ENABLE ((1u << 13) | (1u << 5) | (1u << 3) | (1u << 2)) /* UE, RXNEIE, TE, RE */

/* Nested Vectored Interrupt Controller: one bit an interrupt. */
#define NVIC_ENABLE EDGERT_REGISTER(0xE000E100u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_CLEAR_PENDING EDGERT_REGISTER(0xE000E280u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_BIT (1u << (BOARD_UART_INTERRUPT % 32u))

/* The interrupt only ends a wait: with PRIMASK set no handler runs, and nothing disturbs a timed inference. */
void edgert_uart_start(void) {
    __asm__ volatile("cpsid i" ::: "memory");
    stm32_clock_start();
    stm32_pins_start();
    BAUD_RATE = (stm32_uart_hz() + BOARD_BAUD / 2u) / BOARD_BAUD;
    CONTROL = CONTROL_ENABLE;
    NVIC_ENABLE = NVIC_BIT;
}

/* A byte that comes between the check and the wait pends the interrupt, which ends the wait at once. Reading the data
 * after the status also forgets that bytes were lost: their frames fail their checks. */
bool edgert_port_read(uint8_t *byte) {
    while ((STATUS & STATUS_RECEIVED) == 0u) {
        __asm__ volatile("wfi" ::: "memory");
        NVIC_CLEAR_PENDING = NVIC_BIT;
    }
    *byte = (uint8_t)DATA;
    NVIC_CLEAR_PENDING = NVIC_BIT;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        while ((STATUS & STATUS_SEND_EMPTY) == 0u) {
        }
        DATA = bytes[i];
    }
}
