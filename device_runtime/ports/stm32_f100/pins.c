/* The pins of the STM32F1 (RM0041, 7.2): four bits a pin, mode and speed together. */
#include "../stm32/pins.h"

#include "../cortex_m/devices.h"

#define RCC_APB2ENR EDGERT_REGISTER(0x40021018u)
#define APB2ENR_PORT_A (1u << 2)
#define APB2ENR_USART1 (1u << 14)
#define GPIOA_CRH EDGERT_REGISTER(0x40010804u)
#define GPIOA_BSRR EDGERT_REGISTER(0x40010810u)

/* PA9: alternate function, push-pull, 50 MHz; PA10: input, pulled where its output bit says, up. */
#define CRH_MASK 0xFF0u
#define CRH_USART1 (0xBu << 4 | 0x8u << 8)
#define BSRR_PULL_UP_PA10 (1u << 10)

void stm32_pins_start(void) {
    RCC_APB2ENR |= APB2ENR_PORT_A | APB2ENR_USART1;
    GPIOA_BSRR = BSRR_PULL_UP_PA10;
    GPIOA_CRH = (GPIOA_CRH & ~CRH_MASK) | CRH_USART1;
}
