#include "usb.h"

#include "port.h"
#include "usb_control.h"
#include "usb_data.h"

/* A host that listens asks for packets every millisecond. */
#define WAITS_A_SECOND 4u

/* The host left a packet where it was: nobody waits for it again until it fetches that packet. */
static bool host_is_deaf;

void usb_start(void) {
    usb_controller_start();
}

static void serve_pipes(uint32_t done) {
    if ((done & 1u << USB_CONTROL_IN) != 0u) {
        usb_control_sent();
    }
    if ((done & 1u << USB_CONTROL_OUT) != 0u) {
        usb_control_received();
    }
    if ((done & 1u << USB_DATA_IN) != 0u) {
        usb_data_sent();
    }
    if ((done & 1u << USB_DATA_OUT) != 0u) {
        usb_data_received();
    }
}

/* In the order in which they happen: what belongs to a request is done before the next request comes. */
void usb_poll(void) {
    uint8_t setup[USB_SETUP_BYTES];
    if (usb_controller_was_reset()) {
        usb_control_reset();
        usb_data_close();
    }
    serve_pipes(usb_controller_done_pipes());
    if (usb_controller_take_setup(setup)) {
        usb_control_request(setup);
    }
}

bool usb_take(uint8_t *byte) {
    return usb_data_take(byte);
}

static void wait_for_host(void) {
    const uint64_t start = edgert_port_ticks();
    const uint64_t longest = edgert_port_ticks_per_second() / WAITS_A_SECOND;
    while (usb_data_is_open() && !usb_data_has_room()) {
        usb_poll();
        if (edgert_port_ticks() - start > longest) {
            host_is_deaf = true;
            return;
        }
    }
}

static void send_packet(void) {
    usb_data_send();
    wait_for_host();
}

/* A full packet does not end a transfer: when the zero byte filled one, an empty one follows. */
static void put(uint8_t byte) {
    if (usb_data_put(byte)) {
        send_packet();
    }
    if (byte == 0u && usb_data_has_room()) {
        send_packet();
    }
}

void usb_write(const uint8_t *bytes, uint32_t count) {
    for (uint32_t i = 0u; i < count; ++i) {
        if (host_is_deaf) {
            usb_poll();
            host_is_deaf = !usb_data_has_room();
        }
        if (usb_data_has_room()) {
            put(bytes[i]);
        }
    }
}
