#include "usb_descriptors.h"

#include "board.h"

#define DEVICE 1u
#define CONFIGURATION 2u
#define INTERFACE 4u
#define ENDPOINT 5u
#define ASSOCIATION 11u
#define FUNCTIONAL 0x24u

#define LOW(value) ((value) & 0xFFu)
#define HIGH(value) ((value) >> 8)
#define UNITS_OF_2_MA(milliamperes) ((milliamperes) / 2u)

enum { NO_STRING = 0, MANUFACTURER = 1, PRODUCT = 2, LINE = 3 };

/* clang-format off */
/* Class EFh, 02h, 01h: interfaces belong together by an association (USB 2.0 ECN of 2003). */
const uint8_t usb_device_descriptor[USB_DEVICE_BYTES] = {
    USB_DEVICE_BYTES, DEVICE, 0x00u, 0x02u, 0xEFu, 0x02u, 0x01u, 64u,
    LOW(BOARD_USB_VENDOR), HIGH(BOARD_USB_VENDOR), LOW(BOARD_USB_PRODUCT), HIGH(BOARD_USB_PRODUCT), 0x00u, 0x01u,
    MANUFACTURER, PRODUCT, NO_STRING, 1u,
};

/* A descriptor a line. The endpoints are those of usb_pipe. */
const uint8_t usb_configuration_descriptor[USB_CONFIGURATION_BYTES] = {
    9u, CONFIGURATION, USB_CONFIGURATION_BYTES, 0u, 2u, 1u, NO_STRING, 0x80u, UNITS_OF_2_MA(250u),
    8u, ASSOCIATION, 0u, 2u, 0x02u, 0x02u, 0x00u, NO_STRING,
    /* Communications, abstract control model: header, no call management, line coding and state, union of 0 and 1. */
    9u, INTERFACE, 0u, 0u, 1u, 0x02u, 0x02u, 0x00u, LINE,
    5u, FUNCTIONAL, 0x00u, 0x20u, 0x01u,
    5u, FUNCTIONAL, 0x01u, 0x00u, 1u,
    4u, FUNCTIONAL, 0x02u, 0x02u,
    5u, FUNCTIONAL, 0x06u, 0u, 1u,
    7u, ENDPOINT, 0x81u, 0x03u, 8u, 0u, 16u,
    /* Data: bulk in both directions. */
    9u, INTERFACE, 1u, 0u, 2u, 0x0Au, 0x00u, 0x00u, NO_STRING,
    7u, ENDPOINT, 0x02u, 0x02u, 64u, 0u, 0u,
    7u, ENDPOINT, 0x82u, 0x02u, 64u, 0u, 0u,
};
/* clang-format on */

const char *const usb_strings[USB_STRINGS] = {"edgecompress", BOARD_NAME, "edgecompress serial line"};
