/* Frames: header, payload and CRC-32, COBS-encoded between zero bytes (docs/protocol.md, "Frames"). */
#ifndef EDGERT_FRAME_H
#define EDGERT_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

/* A decoded frame: 6 bytes of header, `payload_bytes` of payload, and room for the CRC-32 behind them. */
typedef struct {
    uint8_t bytes[EDGERT_FRAME_BYTES];
    uint32_t payload_bytes;
} edgert_frame;

/* Where in a frame's COBS code the receiver stands. `left` bytes follow before the next code byte. */
typedef struct {
    edgert_frame frame;
    uint32_t count;
    uint8_t left;
    bool zero_due;
    bool broken;
} edgert_receiver;

uint32_t edgert_crc32(const uint8_t *bytes, uint32_t count);

/* Begin to wait for a frame. */
void edgert_receiver_start(edgert_receiver *receiver);

/* Take one byte off the stream. True when it ends a whole, undamaged frame, which then stands in receiver->frame
 * until the next call. Damaged frames, noise and text between frames are dropped silently. */
bool edgert_receiver_take(edgert_receiver *receiver, uint8_t byte);

static inline uint8_t edgert_frame_command(const edgert_frame *frame) {
    return frame->bytes[0];
}

static inline const uint8_t *edgert_frame_payload(const edgert_frame *frame) {
    return &frame->bytes[EDGERT_HEADER_BYTES];
}

uint16_t edgert_frame_sequence(const edgert_frame *frame);

/* Empty the frame and set its command and sequence number. */
void edgert_frame_begin(edgert_frame *frame, uint8_t command, uint16_t sequence);

/* Add to the payload: a little-endian number of `count` bytes, or `count` bytes as they are. The caller keeps to
 * EDGERT_MAX_PAYLOAD; what would pass it is left out. */
void edgert_frame_add(edgert_frame *frame, uint64_t value, uint32_t count);
void edgert_frame_add_bytes(edgert_frame *frame, const void *bytes, uint32_t count);

/* Set the status, length and CRC-32: the frame is then ready to be sent, also more than once. */
void edgert_frame_finish(edgert_frame *frame, uint8_t status);

/* Send a finished frame through the port. */
void edgert_frame_send(const edgert_frame *frame);

#endif
