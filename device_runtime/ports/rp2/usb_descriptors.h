/* What the device says of itself (USB 2.0, 9.6; CDC 1.2, 5.2; PSTN 1.2, 5.3). */
#ifndef EDGERT_RP2_USB_DESCRIPTORS_H
#define EDGERT_RP2_USB_DESCRIPTORS_H

#include <stdint.h>

#define USB_DEVICE_BYTES 18u
#define USB_CONFIGURATION_BYTES 75u
#define USB_STRINGS 3u

extern const uint8_t usb_device_descriptor[USB_DEVICE_BYTES];
extern const uint8_t usb_configuration_descriptor[USB_CONFIGURATION_BYTES];

/* As ASCII; number 0 is the list of languages and not among them. At most 31 characters, so that one packet holds each. */
extern const char *const usb_strings[USB_STRINGS];

#endif
