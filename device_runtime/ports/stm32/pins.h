/* The pins of a UART as board.h names them. Reference manuals RM0090 (F405) 8.4 and its like for F7, L4, H7, U5: "GPIO
 * registers"; the same in all of these families. The F1 has others (stm32_f100/pins.c). */
#ifndef EDGERT_STM32_PINS_H
#define EDGERT_STM32_PINS_H

/* Switch the port's and the UART's clocks on and hand the pins to the UART. */
void stm32_pins_start(void);

#endif
