/* The numbers of the wire protocol (docs/protocol.md). core/wire.py holds the same; a test compares them. */
#ifndef EDGERT_PROTOCOL_H
#define EDGERT_PROTOCOL_H

#include <stdint.h>

#define EDGERT_PROTOCOL_VERSION 1u

#define EDGERT_HEADER_BYTES 6u
#define EDGERT_CHECK_BYTES 4u

/* Every device takes payloads of this length; a port whose payload.h defines EDGERT_MAX_PAYLOAD takes longer ones. HELLO
 * tells which. */
#define EDGERT_LEAST_PAYLOAD 256u
#if __has_include("payload.h")
#include "payload.h"
#endif
#ifndef EDGERT_MAX_PAYLOAD
#define EDGERT_MAX_PAYLOAD EDGERT_LEAST_PAYLOAD
#endif
_Static_assert(EDGERT_LEAST_PAYLOAD <= EDGERT_MAX_PAYLOAD && EDGERT_MAX_PAYLOAD <= 0xFFFFu, "its length is a u16");

#define EDGERT_FRAME_BYTES (EDGERT_HEADER_BYTES + EDGERT_MAX_PAYLOAD + EDGERT_CHECK_BYTES)

/* Set in the command byte of an answer, so that an echo of a request is never taken for one. */
#define EDGERT_ANSWER_BIT 0x80u

/* As many ticks, of 8 bytes, as one answer holds. */
#define EDGERT_MAX_TICKS (EDGERT_MAX_PAYLOAD / 8u)

#define EDGERT_NO_LAYER 0xFFFFFFFFu

#define EDGERT_COMMANDS(X) \
    X(HELLO, 1) \
    X(TENSOR, 2) \
    X(WRITE_INPUT, 3) \
    X(RUN, 4) \
    X(READ_OUTPUT, 5) \
    X(PROFILE, 6) \
    X(STATS, 7) \
    X(SENSORS, 8) \
    X(FAULT, 9) \
    X(RESET, 10) \
    X(THREADS, 11) \
    X(SLOT_INFO, 12) \
    X(SLOT_BEGIN, 13) \
    X(SLOT_WRITE, 14) \
    X(SLOT_FINISH, 15) \
    X(SLOT_CONFIRM, 16) \
    X(SLOT_REVERT, 17)

#define EDGERT_STATUSES(X) \
    X(OK, 0) \
    X(NO_SESSION, 1) \
    X(UNKNOWN_COMMAND, 2) \
    X(BAD_LENGTH, 3) \
    X(BAD_INDEX, 4) \
    X(BAD_RANGE, 5) \
    X(BAD_COUNT, 6) \
    X(UNSUPPORTED, 7) \
    X(SLOT_ON_TRIAL, 8) \
    X(SLOT_BAD_HEADER, 9) \
    X(SLOT_WRONG_VERSION, 10) \
    X(SLOT_BAD_SIZE, 11) \
    X(SLOT_WRONG_ADDRESS, 12) \
    X(SLOT_BAD_ENTRY, 13) \
    X(SLOT_WRONG_RAM, 14) \
    X(SLOT_WRONG_TARGET, 15) \
    X(SLOT_BAD_SIGNATURE, 16) \
    X(SLOT_NOT_BEGUN, 17) \
    X(SLOT_BAD_HASH, 18) \
    X(SLOT_FLASH_FAILED, 19) \
    X(SLOT_NOTHING, 20)

#define EDGERT_STATISTICS(X) \
    X(STACK_BYTES, 1) \
    X(ARENA_BYTES, 2) \
    X(RESIDENT_BYTES, 3) \
    X(PROPORTIONAL_BYTES, 4)

#define EDGERT_SLOT_STATES(X) \
    X(EMPTY, 0) \
    X(BEGUN, 1) \
    X(INSTALLED, 2) \
    X(TRIED, 3) \
    X(CONFIRMED, 4) \
    X(REJECTED, 5) \
    X(DAMAGED, 6)

#define EDGERT_FAULT_KINDS(X) \
    X(HARD, 1) \
    X(MEMORY, 2) \
    X(BUS, 3) \
    X(USAGE, 4) \
    X(ILLEGAL_INSTRUCTION, 5) \
    X(BAD_ADDRESS, 6) \
    X(ARITHMETIC, 7) \
    X(ABORT, 8) \
    X(WATCHDOG, 9) \
    X(RESET, 10)

#define EDGERT_ENUM_COMMAND(name, number) EDGERT_COMMAND_##name = number,
#define EDGERT_ENUM_STATUS(name, number) EDGERT_STATUS_##name = number,
#define EDGERT_ENUM_STATISTIC(name, number) EDGERT_STATISTIC_##name = number,
#define EDGERT_ENUM_SLOT_STATE(name, number) EDGERT_SLOT_STATE_##name = number,
#define EDGERT_ENUM_FAULT(name, number) EDGERT_FAULT_##name = number,

typedef enum { EDGERT_COMMANDS(EDGERT_ENUM_COMMAND) } edgert_command;
typedef enum { EDGERT_STATUSES(EDGERT_ENUM_STATUS) } edgert_status;
typedef enum { EDGERT_STATISTICS(EDGERT_ENUM_STATISTIC) } edgert_statistic;
typedef enum { EDGERT_SLOT_STATES(EDGERT_ENUM_SLOT_STATE) } edgert_slot_state;
typedef enum { EDGERT_FAULT_KINDS(EDGERT_ENUM_FAULT) } edgert_fault_kind;

#endif
