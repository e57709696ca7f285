#include "frame.h"

#include <string.h>

#include "bytes.h"
#include "port.h"

enum { STATUS_AT = 1, SEQUENCE_AT = 2, LENGTH_AT = 4 };

/* A COBS code byte of 0xFF stands for 254 bytes without a zero behind them. */
#define LONGEST_BLOCK 254u

/* CRC-32 of IEEE 802.3 (reflected, 0xEDB88320), four bits at a time: 64 bytes of table instead of 1024. */
uint32_t edgert_crc32(const uint8_t *bytes, uint32_t count) {
    static const uint32_t table[16] = {0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
                                       0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
                                       0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};
    uint32_t crc = 0xFFFFFFFFu;
    for (uint32_t i = 0u; i < count; ++i) {
        crc = table[(crc ^ bytes[i]) & 15u] ^ (crc >> 4);
        crc = table[(crc ^ ((uint32_t)bytes[i] >> 4)) & 15u] ^ (crc >> 4);
    }
    return ~crc;
}

void edgert_receiver_start(edgert_receiver *receiver) {
    receiver->count = 0u;
    receiver->left = 0u;
    receiver->zero_due = false;
    receiver->broken = false;
}

static void store(edgert_receiver *receiver, uint8_t byte) {
    if (receiver->count == EDGERT_FRAME_BYTES) {
        receiver->broken = true;
        return;
    }
    receiver->frame.bytes[receiver->count] = byte;
    ++receiver->count;
}

static bool is_whole(edgert_receiver *receiver) {
    const uint8_t *bytes = receiver->frame.bytes;
    if (receiver->broken || receiver->left != 0u || receiver->count < EDGERT_HEADER_BYTES + EDGERT_CHECK_BYTES) {
        return false;
    }
    const uint32_t checked = receiver->count - EDGERT_CHECK_BYTES;
    if (edgert_get(&bytes[LENGTH_AT], 2u) != checked - EDGERT_HEADER_BYTES) {
        return false;
    }
    receiver->frame.payload_bytes = checked - EDGERT_HEADER_BYTES;
    return edgert_crc32(bytes, checked) == edgert_get(&bytes[checked], EDGERT_CHECK_BYTES);
}

static void take_code(edgert_receiver *receiver, uint8_t code) {
    if (receiver->zero_due) {
        store(receiver, 0u);
    }
    receiver->left = (uint8_t)(code - 1u);
    receiver->zero_due = code != 0xFFu;
}

bool edgert_receiver_take(edgert_receiver *receiver, uint8_t byte) {
    if (byte == 0u) {
        const bool whole = is_whole(receiver);
        edgert_receiver_start(receiver);
        return whole;
    }
    if (receiver->left == 0u) {
        take_code(receiver, byte);
        return false;
    }
    store(receiver, byte);
    --receiver->left;
    return false;
}

uint16_t edgert_frame_sequence(const edgert_frame *frame) {
    return (uint16_t)edgert_get(&frame->bytes[SEQUENCE_AT], 2u);
}

void edgert_frame_begin(edgert_frame *frame, uint8_t command, uint16_t sequence) {
    frame->bytes[0] = command;
    edgert_put(&frame->bytes[SEQUENCE_AT], sequence, 2u);
    frame->payload_bytes = 0u;
}

void edgert_frame_add(edgert_frame *frame, uint64_t value, uint32_t count) {
    if (count > EDGERT_MAX_PAYLOAD - frame->payload_bytes) {
        return;
    }
    edgert_put(&frame->bytes[EDGERT_HEADER_BYTES + frame->payload_bytes], value, count);
    frame->payload_bytes += count;
}

void edgert_frame_add_bytes(edgert_frame *frame, const void *bytes, uint32_t count) {
    if (count > EDGERT_MAX_PAYLOAD - frame->payload_bytes) {
        return;
    }
    memcpy(&frame->bytes[EDGERT_HEADER_BYTES + frame->payload_bytes], bytes, count);
    frame->payload_bytes += count;
}

void edgert_frame_finish(edgert_frame *frame, uint8_t status) {
    const uint32_t checked = EDGERT_HEADER_BYTES + frame->payload_bytes;
    frame->bytes[STATUS_AT] = status;
    edgert_put(&frame->bytes[LENGTH_AT], frame->payload_bytes, 2u);
    edgert_put(&frame->bytes[checked], edgert_crc32(frame->bytes, checked), EDGERT_CHECK_BYTES);
}

static uint32_t zero_free_bytes(const uint8_t *bytes, uint32_t count) {
    const uint32_t most = count < LONGEST_BLOCK ? count : LONGEST_BLOCK;
    uint32_t length = 0u;
    while (length < most && bytes[length] != 0u) {
        ++length;
    }
    return length;
}

/* COBS (Cheshire and Baker 1999): each zero-free block goes out behind a byte that says where its zero stands. The zero
 * byte in front ends whatever noise came before. */
void edgert_frame_send(const edgert_frame *frame) {
    static const uint8_t delimiter = 0u;
    const uint32_t count = EDGERT_HEADER_BYTES + frame->payload_bytes + EDGERT_CHECK_BYTES;
    uint32_t sent = 0u;
    bool ends_with_zero = false;
    edgert_port_write(&delimiter, 1u);
    do {
        const uint32_t length = zero_free_bytes(&frame->bytes[sent], count - sent);
        const uint8_t code = (uint8_t)(length + 1u);
        edgert_port_write(&code, 1u);
        edgert_port_write(&frame->bytes[sent], length);
        sent += length;
        ends_with_zero = length < LONGEST_BLOCK && sent < count;
        sent += ends_with_zero ? 1u : 0u;
    } while (sent < count || ends_with_zero);
    edgert_port_write(&delimiter, 1u);
}
