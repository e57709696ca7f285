/* Model slots: networks that arrive over the wire, signed, and start without a flasher (docs/slots.md).
 *
 * A firmware has them when src/slots/ and a port's flash.h are linked into it; without, serve.c and main.c answer for
 * these two functions themselves, and nothing of this is in the firmware.
 */
#ifndef EDGERT_SLOTS_H
#define EDGERT_SLOTS_H

#include <stdint.h>

#include "edgert.h"
#include "frame.h"

/* A slot: header, payload, free, trailer. All numbers are little-endian. */
#define EDGERT_SLOT_MAGIC 0x31534345u
#define EDGERT_SLOT_INTERFACE 1u
#define EDGERT_SLOT_HEADER_BYTES 256u
#define EDGERT_SLOT_SIGNED_BYTES 192u
#define EDGERT_SLOT_TARGET_BYTES 32u

/* The trailer ends the slot: marks of 32 bytes (slots/marks.h). */
#define EDGERT_SLOT_MARK_BYTES 32u
#define EDGERT_SLOT_MARKS 7u
#define EDGERT_SLOT_TRAILER_BYTES (EDGERT_SLOT_MARKS * EDGERT_SLOT_MARK_BYTES)

/* In SLOT_INFO: no slot runs, but the network that the firmware was built with. */
#define EDGERT_SLOT_NONE 0xFFu

/* What `entry` of a slot image does: fill its own .data, clear its .bss, and return its network. */
typedef const edgert_network *(*edgert_slot_entry)(void);

/* The Ed25519 public key that images must be signed with; the firmware's build defines it. */
extern const uint8_t edgert_slot_key[32];

/* The network to serve: that of the slot to start, or the one that the firmware was built with. Called once, at boot;
 * marks a slot that starts on trial. */
const edgert_network *edgert_slots_choose(void);

/* Execute a command that serve.c does not know; `answer` is begun, and takes what the answer holds. */
edgert_status edgert_slots_command(uint8_t command, const uint8_t *payload, uint32_t payload_bytes,
                                   edgert_frame *answer);

#endif
