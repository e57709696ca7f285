/* A serial line over USB (CDC-ACM), without an interrupt handler: the bus is served whenever usb_poll is called. */
#ifndef EDGERT_RP2_USB_H
#define EDGERT_RP2_USB_H

#include <stdbool.h>
#include <stdint.h>

/* The controller has its clock of 48 MHz and is out of reset. */
void usb_start(void);

/* Do what is to be done on the bus. The interrupt is pending from when there is something until this was called. */
void usb_poll(void);

/* The next byte that came, without waiting. */
bool usb_take(uint8_t *byte);

/* Send bytes; a zero byte, which ends every frame, sends what was collected and waits until the host has fetched it. A host
 * that fetches nothing for a quarter of a second loses what is sent until it does. */
void usb_write(const uint8_t *bytes, uint32_t count);

#endif
