/* What a board adds to ports/cortex_m: a UART that defines edgert_port_read and edgert_port_write, and a clock that
 * defines edgert_port_ticks and edgert_port_ticks_per_second. */
#ifndef EDGERT_DEVICES_H
#define EDGERT_DEVICES_H

#include <stdint.h>

#define EDGERT_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

void edgert_uart_start(void);
void edgert_clock_start(void);

#endif
