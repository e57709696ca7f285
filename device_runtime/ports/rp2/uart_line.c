/* The port's stream over UART 0 alone. */
#include "board.h"
#include "interrupts.h"
#include "port.h"
#include "uart.h"

void edgert_uart_start(void) {
    interrupts_mask();
    rp2_board_start();
    uart_start();
    interrupt_enable(BOARD_UART_INTERRUPT);
}

/* A byte that comes between the check and the wait pends the interrupt, which ends the wait at once. */
bool edgert_port_read(uint8_t *byte) {
    while (!uart_take(byte)) {
        wait_for_interrupt();
        uart_clear_interrupt();
        interrupt_clear_pending(BOARD_UART_INTERRUPT);
    }
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    uart_write(bytes, count);
}
