/* The serial line over USB (ports/rp2), between a controller in memory and a host that fetches packets or does not. */
#include <string.h>

#include "check.h"
#include "port.h"
#include "usb.h"
#include "usb_controller.h"

#define MOST_PACKETS 32u

static uint8_t buffers[USB_PIPES][USB_PACKET_BYTES];
static uint32_t received[USB_PIPES];
static bool awaits[USB_PIPES];
static uint32_t done_pipes;
static bool was_reset;
static bool setup_came;
static uint8_t setup_bytes[USB_SETUP_BYTES];
static bool host_fetches;
static uint32_t packets;
static uint32_t packet_bytes[MOST_PACKETS];
static uint64_t ticks;

void usb_controller_start(void) {
}

bool usb_controller_was_reset(void) {
    const bool told = was_reset;
    was_reset = false;
    return told;
}

uint32_t usb_controller_done_pipes(void) {
    const uint32_t told = done_pipes;
    done_pipes = 0u;
    return told;
}

bool usb_controller_take_setup(uint8_t setup[USB_SETUP_BYTES]) {
    const bool told = setup_came;
    setup_came = false;
    memcpy(setup, setup_bytes, USB_SETUP_BYTES);
    return told;
}

void usb_controller_set_address(uint32_t address) {
    (void)address;
}

void usb_pipe_open(usb_pipe pipe, usb_transfer transfer) {
    (void)transfer;
    awaits[pipe] = false;
}

void usb_pipe_close(usb_pipe pipe) {
    awaits[pipe] = false;
}

volatile uint8_t *usb_pipe_buffer(usb_pipe pipe) {
    return buffers[pipe];
}

void usb_pipe_send(usb_pipe pipe, uint32_t count) {
    if (pipe == USB_DATA_IN && packets < MOST_PACKETS) {
        packet_bytes[packets] = count;
        ++packets;
    }
    if (host_fetches) {
        done_pipes |= 1u << pipe;
    }
}

void usb_pipe_receive(usb_pipe pipe) {
    awaits[pipe] = true;
}

uint32_t usb_pipe_received(usb_pipe pipe) {
    return received[pipe];
}

void usb_control_stall(void) {
}

uint64_t edgert_port_ticks(void) {
    ticks += 100u;
    return ticks;
}

uint64_t edgert_port_ticks_per_second(void) {
    return 1000000u;
}

static void choose_configuration(uint8_t configuration) {
    const uint8_t request[USB_SETUP_BYTES] = {0x00u, 9u, configuration, 0u, 0u, 0u, 0u, 0u};
    memcpy(setup_bytes, request, sizeof request);
    setup_came = true;
    usb_poll();
}

static void plug_in(void) {
    was_reset = true;
    done_pipes = 0u;
    host_fetches = true;
    choose_configuration(1u);
    usb_poll();
    packets = 0u;
}

static void host_sends(const char *bytes) {
    CHECK(awaits[USB_DATA_OUT]);
    awaits[USB_DATA_OUT] = false;
    received[USB_DATA_OUT] = (uint32_t)strlen(bytes);
    memcpy(buffers[USB_DATA_OUT], bytes, strlen(bytes));
    done_pipes |= 1u << USB_DATA_OUT;
    usb_poll();
}

/* So many bytes that are not zero, and the zero that ends a frame. */
static void send_frame(uint32_t count) {
    uint8_t frame[256];
    memset(frame, 1, sizeof frame);
    frame[count] = 0u;
    usb_write(frame, count + 1u);
}

static void a_frame_goes_out_in_packets_of_64_bytes(void) {
    plug_in();
    send_frame(150u);
    CHECK(packets == 3u && packet_bytes[0] == 64u && packet_bytes[1] == 64u && packet_bytes[2] == 23u);
}

static void an_empty_packet_follows_a_frame_that_ends_with_a_full_one(void) {
    plug_in();
    send_frame(127u);
    CHECK(packets == 3u && packet_bytes[0] == 64u && packet_bytes[1] == 64u && packet_bytes[2] == 0u);
}

static void bytes_wait_for_the_zero_that_ends_their_frame(void) {
    const uint8_t byte = 1u;
    plug_in();
    usb_write(&byte, 1u);
    CHECK(packets == 0u);
    send_frame(0u);
    CHECK(packets == 1u && packet_bytes[0] == 2u);
}

static void a_host_that_fetches_nothing_is_waited_for_once_and_not_long(void) {
    plug_in();
    host_fetches = false;
    const uint64_t start = ticks;
    send_frame(10u);
    CHECK(ticks - start >= 250000u && ticks - start < 251000u);
    send_frame(200u);
    CHECK(ticks - start < 252000u);
    CHECK(packets == 1u);
}

static void a_host_that_fetches_again_is_heard_again(void) {
    plug_in();
    host_fetches = false;
    send_frame(10u);
    host_fetches = true;
    done_pipes |= 1u << USB_DATA_IN;
    send_frame(20u);
    CHECK(packets == 2u && packet_bytes[1] == 21u);
}

static void nothing_is_sent_before_a_configuration_is_chosen(void) {
    plug_in();
    choose_configuration(0u);
    send_frame(10u);
    CHECK(packets == 0u);
}

static void a_reset_of_the_bus_ends_a_wait(void) {
    plug_in();
    host_fetches = false;
    was_reset = true;
    const uint64_t start = ticks;
    send_frame(10u);
    CHECK(ticks - start < 1000u);
}

static void the_next_packet_is_asked_for_when_the_last_byte_is_taken(void) {
    uint8_t byte = 0u;
    plug_in();
    host_sends("ab");
    CHECK(usb_take(&byte) && byte == 'a' && !awaits[USB_DATA_OUT]);
    CHECK(usb_take(&byte) && byte == 'b' && awaits[USB_DATA_OUT]);
    CHECK(!usb_take(&byte));
}

static void an_empty_packet_brings_no_byte_and_is_not_the_last(void) {
    uint8_t byte = 0u;
    plug_in();
    host_sends("");
    CHECK(!usb_take(&byte));
    host_sends("c");
    CHECK(usb_take(&byte) && byte == 'c');
}

static void a_reset_of_the_bus_drops_what_was_not_taken(void) {
    uint8_t byte = 0u;
    plug_in();
    host_sends("ab");
    was_reset = true;
    usb_poll();
    CHECK(!usb_take(&byte));
}

int main(void) {
    RUN_TEST(a_frame_goes_out_in_packets_of_64_bytes);
    RUN_TEST(an_empty_packet_follows_a_frame_that_ends_with_a_full_one);
    RUN_TEST(bytes_wait_for_the_zero_that_ends_their_frame);
    RUN_TEST(a_host_that_fetches_nothing_is_waited_for_once_and_not_long);
    RUN_TEST(a_host_that_fetches_again_is_heard_again);
    RUN_TEST(nothing_is_sent_before_a_configuration_is_chosen);
    RUN_TEST(a_reset_of_the_bus_ends_a_wait);
    RUN_TEST(the_next_packet_is_asked_for_when_the_last_byte_is_taken);
    RUN_TEST(an_empty_packet_brings_no_byte_and_is_not_the_last);
    RUN_TEST(a_reset_of_the_bus_drops_what_was_not_taken);
    return TEST_RESULT;
}
