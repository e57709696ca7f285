#include "usb_control.h"

#include "bytes.h"
#include "usb_data.h"
#include "usb_descriptors.h"

/* bmRequestType without the direction; a recipient of class requests is not asked for. */
#define KIND 0x60u
#define KIND_STANDARD 0x00u
#define KIND_CLASS 0x20u
#define RECIPIENT 0x1Fu
#define RECIPIENT_ENDPOINT 2u

#define GET_STATUS 0u
#define CLEAR_FEATURE 1u
#define SET_ADDRESS 5u
#define GET_DESCRIPTOR 6u
#define GET_CONFIGURATION 8u
#define SET_CONFIGURATION 9u
#define GET_INTERFACE 10u
#define SET_INTERFACE 11u
#define SET_LINE_CODING 0x20u
#define GET_LINE_CODING 0x21u
#define SET_CONTROL_LINE_STATE 0x22u

#define DESCRIPTOR_DEVICE 1u
#define DESCRIPTOR_CONFIGURATION 2u
#define DESCRIPTOR_STRING 3u
#define ENDPOINT_HALT 0u
#define DATA_INTERFACE 1u
#define DATA_IN_ENDPOINT 0x82u
#define DATA_OUT_ENDPOINT 0x02u
#define ADDRESS_MASK 0x7Fu
#define LINE_CODING_BYTES 7u

typedef struct {
    uint32_t type;
    uint32_t request;
    uint32_t value;
    uint32_t index;
    uint32_t length;
} control_request;

/* ANSWERING: data go to the host, whose empty packet ends the request. TAKING_CODING: seven bytes are to come.
 * ACKNOWLEDGING: an empty packet of ours ends the request. */
typedef enum { IDLE, ANSWERING, TAKING_CODING, ACKNOWLEDGING } control_stage;

static control_stage stage;
static const uint8_t *rest;
static uint32_t rest_bytes;
static bool empty_packet_due;
static bool address_due;
static uint32_t new_address;
static uint8_t configuration;
static uint8_t small_answer[USB_PACKET_BYTES];

/* 115200 bit/s, one stop bit, no parity, 8 bits: what the host sets is told back. */
static uint8_t line_coding[LINE_CODING_BYTES] = {0x00u, 0xC2u, 0x01u, 0x00u, 0u, 0u, 8u};

void usb_control_reset(void) {
    stage = IDLE;
    address_due = false;
    configuration = 0u;
}

static void acknowledge(void) {
    stage = ACKNOWLEDGING;
    usb_pipe_send(USB_CONTROL_IN, 0u);
}

static void send_packet(void) {
    const uint32_t count = rest_bytes < USB_PACKET_BYTES ? rest_bytes : USB_PACKET_BYTES;
    volatile uint8_t *to = usb_pipe_buffer(USB_CONTROL_IN);
    for (uint32_t i = 0u; i < count; ++i) {
        to[i] = rest[i];
    }
    rest += count;
    rest_bytes -= count;
    usb_pipe_send(USB_CONTROL_IN, count);
}

/* An answer shorter than what was asked for ends with a packet that is not full, an empty one if need be. */
static void answer(const control_request *r, const uint8_t *bytes, uint32_t count) {
    if (r->length == 0u) {
        acknowledge();
        return;
    }
    stage = ANSWERING;
    rest = bytes;
    rest_bytes = count < r->length ? count : r->length;
    empty_packet_due = count < r->length && count % USB_PACKET_BYTES == 0u;
    send_packet();
}

static void answer_string(const control_request *r, uint32_t number) {
    static const uint8_t english[] = {4u, DESCRIPTOR_STRING, 0x09u, 0x04u};
    if (number == 0u) {
        answer(r, english, sizeof english);
        return;
    }
    if (number > USB_STRINGS) {
        usb_control_stall();
        return;
    }
    const char *text = usb_strings[number - 1u];
    uint32_t count = 2u;
    for (; *text != '\0' && count < USB_PACKET_BYTES; ++text) {
        edgert_put(&small_answer[count], (uint8_t)*text, 2u);
        count += 2u;
    }
    small_answer[0] = (uint8_t)count;
    small_answer[1] = DESCRIPTOR_STRING;
    answer(r, small_answer, count);
}

static void answer_descriptor(const control_request *r) {
    switch (r->value >> 8) {
    case DESCRIPTOR_DEVICE: answer(r, usb_device_descriptor, USB_DEVICE_BYTES); return;
    case DESCRIPTOR_CONFIGURATION: answer(r, usb_configuration_descriptor, USB_CONFIGURATION_BYTES); return;
    case DESCRIPTOR_STRING: answer_string(r, r->value & 0xFFu); return;
    default: usb_control_stall(); return;
    }
}

static void answer_number(const control_request *r, uint32_t number, uint32_t count) {
    edgert_put(small_answer, number, count);
    answer(r, small_answer, count);
}

static void choose_configuration(uint32_t value) {
    if (value > 1u) {
        usb_control_stall();
        return;
    }
    configuration = (uint8_t)value;
    if (value == 1u) {
        usb_data_open();
    } else {
        usb_data_close();
    }
    acknowledge();
}

/* No endpoint of ours halts; but whoever ends a halt expects DATA0 next, on this one alone. */
static void clear_feature(const control_request *r) {
    if ((r->type & RECIPIENT) != RECIPIENT_ENDPOINT || r->value != ENDPOINT_HALT) {
        usb_control_stall();
        return;
    }
    if (configuration != 0u && r->index == DATA_IN_ENDPOINT) {
        usb_data_open_in();
    }
    if (configuration != 0u && r->index == DATA_OUT_ENDPOINT) {
        usb_data_open_out();
    }
    acknowledge();
}

/* There is no other setting of an interface; choosing this one makes its endpoints begin anew, too (USB 2.0, 9.1.1.5). */
static void set_interface(const control_request *r) {
    if (r->value != 0u) {
        usb_control_stall();
        return;
    }
    if (configuration != 0u && r->index == DATA_INTERFACE) {
        usb_data_open();
    }
    acknowledge();
}

/* The host still speaks to the old address until the request has ended (USB 2.0, 9.4.6). */
static void set_address(uint32_t value) {
    new_address = value & ADDRESS_MASK;
    address_due = true;
    acknowledge();
}

static void standard_request(const control_request *r) {
    switch (r->request) {
    case GET_STATUS: answer_number(r, 0u, 2u); return;
    case CLEAR_FEATURE: clear_feature(r); return;
    case SET_ADDRESS: set_address(r->value); return;
    case GET_DESCRIPTOR: answer_descriptor(r); return;
    case GET_CONFIGURATION: answer_number(r, configuration, 1u); return;
    case SET_CONFIGURATION: choose_configuration(r->value); return;
    case GET_INTERFACE: answer_number(r, 0u, 1u); return;
    case SET_INTERFACE: set_interface(r); return;
    default: usb_control_stall(); return;
    }
}

static void class_request(const control_request *r) {
    switch (r->request) {
    case GET_LINE_CODING: answer(r, line_coding, LINE_CODING_BYTES); return;
    case SET_CONTROL_LINE_STATE: acknowledge(); return;
    case SET_LINE_CODING:
        stage = TAKING_CODING;
        usb_pipe_receive(USB_CONTROL_OUT);
        return;
    default: usb_control_stall(); return;
    }
}

void usb_control_request(const uint8_t setup[USB_SETUP_BYTES]) {
    const control_request r = {setup[0], setup[1], edgert_get(&setup[2], 2u), edgert_get(&setup[4], 2u),
                               edgert_get(&setup[6], 2u)};
    stage = IDLE;
    address_due = false;
    switch (r.type & KIND) {
    case KIND_STANDARD: standard_request(&r); return;
    case KIND_CLASS: class_request(&r); return;
    default: usb_control_stall(); return;
    }
}

void usb_control_sent(void) {
    if (stage == ANSWERING && (rest_bytes > 0u || empty_packet_due)) {
        empty_packet_due = empty_packet_due && rest_bytes > 0u;
        send_packet();
        return;
    }
    if (stage == ANSWERING) {
        usb_pipe_receive(USB_CONTROL_OUT);
    }
    if (address_due) {
        usb_controller_set_address(new_address);
        address_due = false;
    }
    stage = IDLE;
}

void usb_control_received(void) {
    if (stage != TAKING_CODING) {
        return;
    }
    const volatile uint8_t *from = usb_pipe_buffer(USB_CONTROL_OUT);
    if (usb_pipe_received(USB_CONTROL_OUT) == LINE_CODING_BYTES) {
        for (uint32_t i = 0u; i < LINE_CODING_BYTES; ++i) {
            line_coding[i] = from[i];
        }
    }
    acknowledge();
}
