/* The port's stream over UART 0 and over USB: both are read, and an answer goes to the line that brought the byte before it,
 * the last one of its request. There is one session: two hosts that speak at the same time disturb each other. */
#include "board.h"
#include "interrupts.h"
#include "port.h"
#include "uart.h"
#include "usb.h"

static bool answers_go_to_usb;

void edgert_uart_start(void) {
    interrupts_mask();
    rp2_board_start();
    uart_start();
    usb_start();
    interrupt_enable(BOARD_UART_INTERRUPT);
    interrupt_enable(BOARD_USB_INTERRUPT);
}

static bool take(uint8_t *byte) {
    if (usb_take(byte)) {
        answers_go_to_usb = true;
        return true;
    }
    if (uart_take(byte)) {
        answers_go_to_usb = false;
        return true;
    }
    return false;
}

/* Whatever happens after the interrupts were cleared pends them again: the wait ends at once, and both lines are looked at. */
bool edgert_port_read(uint8_t *byte) {
    usb_poll();
    while (!take(byte)) {
        wait_for_interrupt();
        uart_clear_interrupt();
        interrupt_clear_pending(BOARD_UART_INTERRUPT);
        interrupt_clear_pending(BOARD_USB_INTERRUPT);
        usb_poll();
    }
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    if (answers_go_to_usb) {
        usb_write(bytes, count);
    } else {
        uart_write(bytes, count);
    }
}
