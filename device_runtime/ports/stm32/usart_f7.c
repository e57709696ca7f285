/* The USART and LPUART of the STM32F7, L4, L5, H7 and U5 (RM0385, 31.8; RM0432, 53.8 and 54.7; RM0455, 53.8; RM0456,
 * 66.8), 8 data bits, no parity, without FIFO. Bit 0 of CR1 enables it here. */
#include "../cortex_m/devices.h"
#include "board.h"
#include "clock.h"
#include "pins.h"
#include "port.h"

#define CONTROL EDGERT_REGISTER(BOARD_UART)
#define BAUD_RATE EDGERT_REGISTER(BOARD_UART + 0x0Cu)
#define STATUS EDGERT_REGISTER(BOARD_UART + 0x1Cu)
#define STATUS_CLEAR EDGERT_REGISTER(BOARD_UART + 0x20u)
#define RECEIVED EDGERT_REGISTER(BOARD_UART + 0x24u)
#define SEND EDGERT_REGISTER(BOARD_UART + 0x28u)

#define STATUS_RECEIVED (1u << 5)
#define STATUS_SEND_EMPTY (1u << 7)
#define STATUS_ERRORS 0xFu                                      /* parity, framing, noise, overrun */
#define CONTROL_ENABLE ((1u << 5) | (1u << 3) | (1u << 2) | 1u) /* RXNEIE, TE, RE, UE */

/* Nested Vectored Interrupt Controller: one bit an interrupt. */
#define NVIC_ENABLE EDGERT_REGISTER(0xE000E100u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_CLEAR_PENDING EDGERT_REGISTER(0xE000E280u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define NVIC_BIT (1u << (BOARD_UART_INTERRUPT % 32u))

/* A bit takes BAUD_RATE clocks; of an LPUART, BAUD_RATE / 256. */
#if BOARD_UART_IS_LOW_POWER
#define SCALE 256u
#else
#define SCALE 1u
#endif

/* The interrupt only ends a wait: with PRIMASK set no handler runs, and nothing disturbs a timed inference. */
void edgert_uart_start(void) {
    __asm__ volatile("cpsid i" ::: "memory");
    stm32_clock_start();
    stm32_pins_start();
    CONTROL = 0u;
    BAUD_RATE = (uint32_t)(((uint64_t)stm32_uart_hz() * SCALE + BOARD_BAUD / 2u) / BOARD_BAUD);
    CONTROL = CONTROL_ENABLE;
    NVIC_ENABLE = NVIC_BIT;
}

/* A byte that comes between the check and the wait pends the interrupt, which ends the wait at once. An overrun stops
 * the reception until it is cleared: the bytes are lost, and their frames fail their checks. */
bool edgert_port_read(uint8_t *byte) {
    while ((STATUS & STATUS_RECEIVED) == 0u) {
        __asm__ volatile("wfi" ::: "memory");
        STATUS_CLEAR = STATUS_ERRORS;
        NVIC_CLEAR_PENDING = NVIC_BIT;
    }
    *byte = (uint8_t)RECEIVED;
    STATUS_CLEAR = STATUS_ERRORS;
    NVIC_CLEAR_PENDING = NVIC_BIT;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        while ((STATUS & STATUS_SEND_EMPTY) == 0u) {
        }
        SEND = bytes[i];
    }
}
