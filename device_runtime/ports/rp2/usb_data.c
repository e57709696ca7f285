#include "usb_data.h"

#include "usb_controller.h"

static bool is_open;
static bool is_sending;
static uint32_t collected;
static uint32_t received;
static uint32_t taken;

void usb_data_open_in(void) {
    is_sending = false;
    collected = 0u;
    usb_pipe_open(USB_DATA_IN, USB_BULK);
}

static void await_packet(void) {
    received = 0u;
    taken = 0u;
    usb_pipe_receive(USB_DATA_OUT);
}

void usb_data_open_out(void) {
    usb_pipe_open(USB_DATA_OUT, USB_BULK);
    await_packet();
}

void usb_data_open(void) {
    is_open = true;
    usb_pipe_open(USB_NOTICES_IN, USB_INTERRUPT);
    usb_data_open_in();
    usb_data_open_out();
}

void usb_data_close(void) {
    is_open = false;
    is_sending = false;
    received = 0u;
    taken = 0u;
    usb_pipe_close(USB_NOTICES_IN);
    usb_pipe_close(USB_DATA_IN);
    usb_pipe_close(USB_DATA_OUT);
}

void usb_data_sent(void) {
    is_sending = false;
}

void usb_data_received(void) {
    received = usb_pipe_received(USB_DATA_OUT);
    taken = 0u;
    if (received == 0u) {
        await_packet();
    }
}

bool usb_data_take(uint8_t *byte) {
    if (taken == received) {
        return false;
    }
    *byte = usb_pipe_buffer(USB_DATA_OUT)[taken];
    ++taken;
    if (taken == received) {
        await_packet();
    }
    return true;
}

bool usb_data_has_room(void) {
    return is_open && !is_sending;
}

bool usb_data_is_open(void) {
    return is_open;
}

bool usb_data_put(uint8_t byte) {
    usb_pipe_buffer(USB_DATA_IN)[collected] = byte;
    ++collected;
    return collected == USB_PACKET_BYTES;
}

void usb_data_send(void) {
    is_sending = true;
    usb_pipe_send(USB_DATA_IN, collected);
    collected = 0u;
}
