#include "pins.h"

#include "../cortex_m/devices.h"
#include "board.h"

#define MODER(port) EDGERT_REGISTER(port)
#define OSPEEDR(port) EDGERT_REGISTER((port) + 0x08u)
#define PUPDR(port) EDGERT_REGISTER((port) + 0x0Cu)
#define AFR(port, pin) EDGERT_REGISTER((port) + 0x20u + 4u * ((pin) / 8u))

#define MODE_ALTERNATE 2u
#define SPEED_HIGH 2u
#define PULL_UP 1u

static void set_field(volatile uint32_t *field, uint32_t place, uint32_t bits, uint32_t value) {
    const uint32_t mask = ((1u << bits) - 1u) << place;
    *field = (*field & ~mask) | value << place;
}

/* The pull-up keeps an open line idle. */
static void use(uint32_t port, uint32_t pin, uint32_t function) {
    set_field(&AFR(port, pin), 4u * (pin % 8u), 4u, function);
    set_field(&OSPEEDR(port), 2u * pin, 2u, SPEED_HIGH);
    set_field(&PUPDR(port), 2u * pin, 2u, PULL_UP);
    set_field(&MODER(port), 2u * pin, 2u, MODE_ALTERNATE);
}

void stm32_pins_start(void) {
    EDGERT_REGISTER(BOARD_PORT_ENABLE) |= BOARD_PORT_ENABLE_BIT;
    EDGERT_REGISTER(BOARD_UART_ENABLE) |= BOARD_UART_ENABLE_BIT;
    (void)EDGERT_REGISTER(BOARD_UART_ENABLE); /* a clock takes two cycles to arrive */
    use(BOARD_UART_PORT, BOARD_UART_SEND_PIN, BOARD_UART_FUNCTION);
    use(BOARD_UART_PORT, BOARD_UART_RECEIVE_PIN, BOARD_UART_FUNCTION);
}
