/* The UART of Arm's Cortex-M System Design Kit (DDI 0479, 4.3). */
#include "board.h"
#include "../cortex_m/devices.h"
#include "port.h"

#define DATA EDGERT_REGISTER(BOARD_UART)
#define STATE EDGERT_REGISTER(BOARD_UART + 0x04u)
#define CONTROL EDGERT_REGISTER(BOARD_UART + 0x08u)
#define BAUD_DIVIDER EDGERT_REGISTER(BOARD_UART + 0x10u)

#define STATE_SEND_FULL 1u
#define STATE_RECEIVE_FULL 2u
#define CONTROL_SEND_AND_RECEIVE 3u

/* The smallest divider that the UART takes: an emulated line has no baud rate. */
#define FASTEST 16u

/* Reading the data register drops what came before the start; QEMU offers the next byte only after such a read. */
void edgert_uart_start(void) {
    BAUD_DIVIDER = FASTEST;
    CONTROL = CONTROL_SEND_AND_RECEIVE;
    (void)DATA;
}

bool edgert_port_read(uint8_t *byte) {
    while ((STATE & STATE_RECEIVE_FULL) == 0u) {
    }
    *byte = (uint8_t)DATA;
    return true;
}

void edgert_port_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        while ((STATE & STATE_SEND_FULL) != 0u) {
        }
        DATA = bytes[i];
    }
}
