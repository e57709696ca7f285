/* The bytes of the serial line: a packet at a time in either direction, in the controller's own memory. */
#ifndef EDGERT_RP2_USB_DATA_H
#define EDGERT_RP2_USB_DATA_H

#include <stdbool.h>
#include <stdint.h>

/* A configuration was chosen, or is no longer. Opening again drops what is under way. */
void usb_data_open(void);
void usb_data_open_in(void);
void usb_data_open_out(void);
void usb_data_close(void);

/* A packet was fetched; a packet came. */
void usb_data_sent(void);
void usb_data_received(void);

/* The next byte of what came, if there is one. The host waits while there is. */
bool usb_data_take(uint8_t *byte);

/* True when bytes can be put into the next packet: the line is open and the packet before is gone. */
bool usb_data_has_room(void);
bool usb_data_is_open(void);

/* Add a byte to the packet; true when it is full. Then, or earlier, it is sent, also an empty one. */
bool usb_data_put(uint8_t byte);
void usb_data_send(void);

#endif
