/* Frames: what is sent comes back the same, and nothing damaged is ever taken for a frame. */
#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "check.h"
#include "fake_port.h"
#include "frame.h"
#include "random.h"

enum { MUTATIONS = 300000 };

static edgert_receiver receiver;
static edgert_frame sent;

/* Make a frame, send it, and leave its bytes on the wire in port.outbox. */
static void send_frame(const uint8_t *payload, uint32_t count) {
    fake_port_clear();
    edgert_frame_begin(&sent, EDGERT_COMMAND_RUN, 0xBEEFu);
    edgert_frame_add_bytes(&sent, payload, count);
    edgert_frame_finish(&sent, EDGERT_STATUS_OK);
    edgert_frame_send(&sent);
}

/* Feed bytes to the receiver; return how many frames came out. */
static uint32_t receive(const uint8_t *bytes, uint32_t count) {
    uint32_t frames = 0u;
    for (uint32_t i = 0u; i < count; ++i) {
        frames += edgert_receiver_take(&receiver, bytes[i]) ? 1u : 0u;
    }
    return frames;
}

static bool received_equals_sent(void) {
    const uint32_t count = EDGERT_HEADER_BYTES + sent.payload_bytes;
    return receiver.frame.payload_bytes == sent.payload_bytes && memcmp(receiver.frame.bytes, sent.bytes, count) == 0;
}

static void the_crc_is_that_of_ieee_802_3(void) {
    CHECK(edgert_crc32((const uint8_t *)"123456789", 9u) == 0xCBF43926u);
    CHECK(edgert_crc32((const uint8_t *)"", 0u) == 0u);
}

static void every_length_of_every_filling_comes_back(void) {
    uint8_t payload[EDGERT_MAX_PAYLOAD];
    for (uint32_t filling = 0u; filling < 4u; ++filling) {
        for (uint32_t count = 0u; count <= EDGERT_MAX_PAYLOAD; ++count) {
            random_bytes(payload, sizeof payload);
            if (filling < 3u) {
                memset(payload, filling == 0u ? 0 : filling == 1u ? 1 : 255, sizeof payload);
            }
            send_frame(payload, count);
            edgert_receiver_start(&receiver);
            CHECK(receive(port.outbox, port.outbox_count) == 1u);
            CHECK(received_equals_sent());
        }
    }
}

static void a_frame_holds_no_zero_between_its_delimiters(void) {
    const uint8_t payload[EDGERT_MAX_PAYLOAD] = {0};
    send_frame(payload, sizeof payload);
    CHECK(port.outbox[0] == 0u);
    CHECK(memchr(&port.outbox[1], 0, port.outbox_count - 2u) == NULL);
    CHECK(port.outbox[port.outbox_count - 1u] == 0u);
}

static void what_passes_the_payload_is_left_out(void) {
    uint8_t payload[EDGERT_MAX_PAYLOAD] = {7u};
    edgert_frame_begin(&sent, EDGERT_COMMAND_RUN, 1u);
    edgert_frame_add_bytes(&sent, payload, EDGERT_MAX_PAYLOAD - 1u);
    edgert_frame_add(&sent, 0xAAAAu, 2u);
    edgert_frame_add_bytes(&sent, payload, 2u);
    CHECK(sent.payload_bytes == EDGERT_MAX_PAYLOAD - 1u);
    edgert_frame_add(&sent, 0xAAu, 1u);
    CHECK(sent.payload_bytes == EDGERT_MAX_PAYLOAD);
}

static void every_flipped_bit_is_noticed(void) {
    const uint8_t payload[] = {1u, 0u, 2u, 255u, 0u, 0u, 3u};
    uint8_t wire[64];
    send_frame(payload, sizeof payload);
    for (uint32_t bit = 8u; bit < 8u * (port.outbox_count - 1u); ++bit) {
        memcpy(wire, port.outbox, port.outbox_count);
        wire[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
        edgert_receiver_start(&receiver);
        CHECK(receive(wire, port.outbox_count) == 0u);
    }
}

static void every_lost_byte_is_noticed(void) {
    const uint8_t payload[] = {1u, 0u, 2u, 255u, 0u, 0u, 3u};
    send_frame(payload, sizeof payload);
    for (uint32_t lost = 1u; lost < port.outbox_count - 1u; ++lost) {
        edgert_receiver_start(&receiver);
        CHECK(receive(port.outbox, lost) + receive(&port.outbox[lost + 1u], port.outbox_count - lost - 1u) == 0u);
    }
}

static void a_frame_behind_noise_is_found(void) {
    static const char text[] = "booting... 3.3 V ok\r\n";
    const uint8_t payload[] = {9u, 0u, 9u};
    uint8_t noise[2000];
    edgert_receiver_start(&receiver);
    for (uint32_t round = 0u; round < 200u; ++round) {
        const uint32_t count = random_below(sizeof noise);
        random_bytes(noise, count);
        send_frame(payload, sizeof payload);
        (void)receive(noise, count);
        (void)receive((const uint8_t *)text, sizeof text - 1u);
        CHECK(receive(port.outbox, port.outbox_count) == 1u);
        CHECK(received_equals_sent());
    }
}

static void a_length_that_lies_is_noticed(void) {
    const uint8_t payload[] = {1u, 2u, 3u, 4u};
    fake_port_clear();
    edgert_frame_begin(&sent, EDGERT_COMMAND_RUN, 1u);
    edgert_frame_add_bytes(&sent, payload, sizeof payload);
    edgert_frame_finish(&sent, EDGERT_STATUS_OK);
    edgert_put(&sent.bytes[4], 3u, 2u);
    edgert_put(&sent.bytes[EDGERT_HEADER_BYTES + 4u], edgert_crc32(sent.bytes, EDGERT_HEADER_BYTES + 4u), 4u);
    edgert_frame_send(&sent);
    edgert_receiver_start(&receiver);
    CHECK(receive(port.outbox, port.outbox_count) == 0u);
}

/* Whatever comes out of damaged bytes must be the undamaged frame: a chance of 2^-32 a mutation to be wrong. */
static void mutated_frames_are_dropped_or_whole(void) {
    uint8_t payload[EDGERT_MAX_PAYLOAD];
    uint8_t wire[2u * EDGERT_FRAME_BYTES];
    for (uint32_t round = 0u; round < MUTATIONS; ++round) {
        const uint32_t count = random_below(16u);
        random_bytes(payload, count);
        send_frame(payload, count);
        memcpy(wire, port.outbox, port.outbox_count);
        for (uint32_t flips = random_below(4u); flips > 0u; --flips) {
            wire[random_below(port.outbox_count)] = (uint8_t)random_below(256u);
        }
        edgert_receiver_start(&receiver);
        for (uint32_t i = 0u; i < port.outbox_count; ++i) {
            if (edgert_receiver_take(&receiver, wire[i])) {
                CHECK(received_equals_sent());
            }
        }
    }
}

int main(void) {
    RUN_TEST(the_crc_is_that_of_ieee_802_3);
    RUN_TEST(every_length_of_every_filling_comes_back);
    RUN_TEST(a_frame_holds_no_zero_between_its_delimiters);
    RUN_TEST(what_passes_the_payload_is_left_out);
    RUN_TEST(every_flipped_bit_is_noticed);
    RUN_TEST(every_lost_byte_is_noticed);
    RUN_TEST(a_frame_behind_noise_is_found);
    RUN_TEST(a_length_that_lies_is_noticed);
    RUN_TEST(mutated_frames_are_dropped_or_whole);
    return TEST_RESULT;
}
