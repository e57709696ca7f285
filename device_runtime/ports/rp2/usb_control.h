/* Control requests (USB 2.0, 9.4; CDC PSTN 1.2, 6.3): enumeration, and the settings of a serial line, which change nothing. */
#ifndef EDGERT_RP2_USB_CONTROL_H
#define EDGERT_RP2_USB_CONTROL_H

#include "usb_controller.h"

/* The bus was reset: no configuration is chosen, and no request is under way. */
void usb_control_reset(void);

/* A request came; a packet of its answer was fetched, or one of its data came. */
void usb_control_request(const uint8_t setup[USB_SETUP_BYTES]);
void usb_control_sent(void);
void usb_control_received(void);

#endif
