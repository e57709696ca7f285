/* Random requests of the SLOT commands, on the whole device but its port and its flash: `slot_requests IMAGES ROUNDS`. The sanitizers
 * watch; after each round what starts must be a whole image, or the firmware's own network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "check.h"
#include "fake_port.h"
#include "frame.h"
#include "image.h"
#include "install.h"
#include "nor.h"
#include "serve.h"
#include "slot_host.h"
#include "state.h"

enum { REQUESTS = 12, CHUNK = 128 };

static uint16_t sequence;
static uint32_t begun;
static uint32_t seen[EDGERT_STATUS_SLOT_NOTHING + 1];

static void put_request(uint8_t command, const uint8_t *payload, uint32_t count) {
    static edgert_frame request;
    const uint32_t before = port.outbox_count;
    ++sequence;
    edgert_frame_begin(&request, command, sequence);
    edgert_frame_add_bytes(&request, payload, count);
    edgert_frame_finish(&request, 0u);
    edgert_frame_send(&request);
    fake_port_put(&port.outbox[before], port.outbox_count - before);
    port.outbox_count = before;
}

/* A header, now and then with a flipped bit. */
static void put_begin(void) {
    uint8_t header[EDGERT_SLOT_HEADER_BYTES];
    begun = nor_random(IMAGES);
    memcpy(header, slot_images[begun].header, sizeof header);
    if (nor_random(4u) == 0u) {
        header[nor_random(sizeof header)] ^= (uint8_t)(1u << nor_random(8u));
    }
    put_request(EDGERT_COMMAND_SLOT_BEGIN, header, nor_random(16u) == 0u ? nor_random(256u) : sizeof header);
}

/* All pieces of the image that was begun last, now and then one that is wrong. */
static void put_payload(void) {
    const slot_image *image = &slot_images[begun];
    for (uint32_t at = 0u; at < image->payload_bytes; at += CHUNK) {
        uint8_t piece[4u + CHUNK];
        const uint32_t left = image->payload_bytes - at;
        const uint32_t count = left < CHUNK ? left : CHUNK;
        const bool is_wrong = nor_random(40u) == 0u;
        edgert_put(piece, is_wrong ? nor_random(4096u) : at, 4u);
        memcpy(&piece[4], &image->payload[at], count);
        piece[4] ^= (uint8_t)(nor_random(60u) == 0u ? 1u : 0u);
        put_request(EDGERT_COMMAND_SLOT_WRITE, piece, is_wrong ? nor_random(4u + count) : 4u + count);
    }
}

static void put_something(void) {
    static const uint8_t commands[] = {EDGERT_COMMAND_SLOT_INFO, EDGERT_COMMAND_SLOT_FINISH,
                                       EDGERT_COMMAND_SLOT_CONFIRM, EDGERT_COMMAND_SLOT_REVERT};
    const uint8_t noise[4] = {0u};
    const uint32_t kind = nor_random(10u);
    if (kind < 3u) {
        put_begin();
        put_payload();
        put_request(EDGERT_COMMAND_SLOT_FINISH, noise, 0u);
    } else if (kind == 3u) {
        put_payload();
    } else {
        put_request(commands[nor_random(4u)], noise, nor_random(12u) == 0u ? 1u : 0u);
    }
}

/* How many answers there are; their statuses are counted. */
static uint32_t take_answers(void) {
    static edgert_receiver receiver;
    uint32_t answers = 0u;
    edgert_receiver_start(&receiver);
    for (uint32_t i = 0u; i < port.outbox_count; ++i) {
        if (edgert_receiver_take(&receiver, port.outbox[i])) {
            CHECK(receiver.frame.bytes[1] <= EDGERT_STATUS_SLOT_NOTHING);
            ++seen[receiver.frame.bytes[1] % (EDGERT_STATUS_SLOT_NOTHING + 1u)];
            ++answers;
        }
    }
    return answers;
}

static bool starts_whole(void) {
    const uint32_t slot = edgert_slot_running();
    bool is_whole = slot == EDGERT_SLOT_NONE;
    for (uint32_t i = 0u; i < IMAGES && !is_whole; ++i) {
        const uint8_t *at = nor_at(nor.layout.slot_origin[slot]);
        is_whole = memcmp(at, slot_images[i].header, EDGERT_SLOT_HEADER_BYTES) == 0 &&
                   memcmp(&at[EDGERT_SLOT_HEADER_BYTES], slot_images[i].payload, slot_images[i].payload_bytes) == 0;
    }
    return is_whole;
}

static void one_round(void) {
    const uint16_t before = sequence;
    edgert_install_forget();
    nor.protected_slot = EDGERT_SLOTS;
    nor.protected_slot = edgert_slot_pick(0u);
    CHECK(starts_whole());
    fake_port_clear();
    put_request(EDGERT_COMMAND_HELLO, (const uint8_t *)"", 0u);
    for (uint32_t i = nor_random(REQUESTS); i > 0u; --i) {
        put_something();
    }
    edgert_serve(&edgert_installed_network);
    CHECK(take_answers() == (uint16_t)(sequence - before));
    CHECK(nor.rule_breaks == 0u);
}

int main(int count, char **words) {
    static const edgert_flash_layout layout = {{0x10000u, 0x10400u}, 0x400u, 0x100u, 8u, 0x20001000u, 0x1000u};
    if (count != 3 || !slot_host_read(words[1])) {
        return 2;
    }
    nor_start(&layout);
    nor_seed(1u);
    for (long round = strtol(words[2], NULL, 10); round > 0; --round) {
        one_round();
    }
    for (uint32_t status = 0u; status <= EDGERT_STATUS_SLOT_NOTHING; ++status) {
        (void)printf("%u %u\n", status, seen[status]);
    }
    return TEST_RESULT;
}
