#include "serve.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "bytes.h"
#include "fault.h"
#include "frame.h"
#include "port.h"
#include "slots.h"

#define LONGEST_NAME 128u

/* The largest answers fit one frame. */
_Static_assert(2u + 2u + EDGERT_BUILD_ID_BYTES + 8u + 4u * 4u + 1u + LONGEST_NAME <= EDGERT_MAX_PAYLOAD, "hello");
_Static_assert(2u + 4u * EDGERT_MAX_RANK + 3u * 4u + 1u + LONGEST_NAME <= EDGERT_MAX_PAYLOAD, "tensor");

/* A request's payload, and the answer that a command fills. */
typedef struct {
    const edgert_network *network;
    const uint8_t *payload;
    uint32_t payload_bytes;
    edgert_frame *answer;
} exchange;

typedef edgert_status (*command_function)(const exchange *x);

/* Off the stack, so that the stack's high-water mark is the network's. */
static edgert_receiver receiver;
static edgert_frame answer;

/* A session begins with hello. `last_sequence` is that of the request which `answer` answers. */
static bool in_session;
static uint16_t last_sequence;

/* A reset must not happen before its answer is out. */
static bool reset_asked;

__attribute__((noinline)) void edgert_window_open(void) {
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void edgert_window_close(void) {
    __asm__ volatile("" ::: "memory");
}

static void add_text(edgert_frame *frame, const char *text) {
    const size_t length = strlen(text);
    const uint32_t kept = length < LONGEST_NAME ? (uint32_t)length : LONGEST_NAME;
    edgert_frame_add(frame, kept, 1u);
    edgert_frame_add_bytes(frame, text, kept);
}

static edgert_status hello(const exchange *x) {
    const edgert_network *network = x->network;
    edgert_frame_add(x->answer, EDGERT_PROTOCOL_VERSION, 2u);
    edgert_frame_add(x->answer, EDGERT_MAX_PAYLOAD, 2u);
    edgert_frame_add_bytes(x->answer, network->build_id, EDGERT_BUILD_ID_BYTES);
    edgert_frame_add(x->answer, edgert_port_ticks_per_second(), 8u);
    edgert_frame_add(x->answer, network->inputs, 4u);
    edgert_frame_add(x->answer, network->outputs, 4u);
    edgert_frame_add(x->answer, network->layers, 4u);
    edgert_frame_add(x->answer, network->arena_bytes, 4u);
    add_text(x->answer, network->target);
    return EDGERT_STATUS_OK;
}

static edgert_status tensor(const exchange *x) {
    if (x->payload_bytes != 5u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const bool is_output = x->payload[0] != 0u;
    const uint32_t index = edgert_get(&x->payload[1], 4u);
    if (index >= (is_output ? x->network->outputs : x->network->inputs)) {
        return EDGERT_STATUS_BAD_INDEX;
    }
    const edgert_tensor *t = is_output ? &x->network->output[index] : &x->network->input[index];
    edgert_frame_add(x->answer, t->dtype, 1u);
    edgert_frame_add(x->answer, t->rank, 1u);
    for (uint32_t i = 0u; i < t->rank && i < EDGERT_MAX_RANK; ++i) {
        edgert_frame_add(x->answer, t->shape[i], 4u);
    }
    edgert_frame_add(x->answer, t->scale_bits, 4u);
    edgert_frame_add(x->answer, (uint32_t)t->zero_point, 4u);
    edgert_frame_add(x->answer, t->bytes, 4u);
    add_text(x->answer, t->name);
    return EDGERT_STATUS_OK;
}

/* True when `count` bytes from `offset` lie within `room`; written so that nothing can wrap. */
static bool lies_within(uint32_t offset, uint32_t count, uint32_t room) {
    return offset <= room && count <= room - offset;
}

static edgert_status write_input(const exchange *x) {
    if (x->payload_bytes < 8u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const uint32_t index = edgert_get(x->payload, 4u);
    const uint32_t offset = edgert_get(&x->payload[4], 4u);
    const uint32_t count = x->payload_bytes - 8u;
    if (index >= x->network->inputs) {
        return EDGERT_STATUS_BAD_INDEX;
    }
    const edgert_tensor *t = &x->network->input[index];
    if (!lies_within(offset, count, t->bytes)) {
        return EDGERT_STATUS_BAD_RANGE;
    }
    memcpy((uint8_t *)t->data + offset, &x->payload[8], count);
    return EDGERT_STATUS_OK;
}

static edgert_status read_output(const exchange *x) {
    if (x->payload_bytes != 12u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const uint32_t index = edgert_get(x->payload, 4u);
    const uint32_t offset = edgert_get(&x->payload[4], 4u);
    const uint32_t count = edgert_get(&x->payload[8], 4u);
    if (index >= x->network->outputs) {
        return EDGERT_STATUS_BAD_INDEX;
    }
    const edgert_tensor *t = &x->network->output[index];
    if (count > EDGERT_MAX_PAYLOAD || !lies_within(offset, count, t->bytes)) {
        return EDGERT_STATUS_BAD_RANGE;
    }
    edgert_frame_add_bytes(x->answer, (const uint8_t *)t->data + offset, count);
    return EDGERT_STATUS_OK;
}

static void run_layer(const edgert_network *network, uint32_t layer) {
    edgert_current_layer = layer;
    network->run_layer(layer);
    edgert_current_layer = EDGERT_NO_LAYER;
}

static uint64_t timed_run(const edgert_network *network) {
    edgert_port_watch();
    const uint64_t start = edgert_port_ticks();
    edgert_window_open();
    for (uint32_t layer = 0u; layer < network->layers; ++layer) {
        run_layer(network, layer);
    }
    edgert_window_close();
    const uint64_t ticks = edgert_port_ticks() - start;
    edgert_port_watch_end();
    return ticks;
}

static edgert_status run(const exchange *x) {
    if (x->payload_bytes != 4u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const uint32_t count = edgert_get(x->payload, 4u);
    if (count == 0u || count > EDGERT_MAX_TICKS) {
        return EDGERT_STATUS_BAD_COUNT;
    }
    for (uint32_t i = 0u; i < count; ++i) {
        edgert_frame_add(x->answer, timed_run(x->network), 8u);
    }
    return EDGERT_STATUS_OK;
}

/* One whole inference; the answer tells the ticks of as many layers, from the asked one on, as it holds. */
static edgert_status profile(const exchange *x) {
    if (x->payload_bytes != 4u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const uint32_t first = edgert_get(x->payload, 4u);
    if (first >= x->network->layers) {
        return EDGERT_STATUS_BAD_INDEX;
    }
    edgert_port_watch();
    for (uint32_t layer = 0u; layer < x->network->layers; ++layer) {
        const uint64_t start = edgert_port_ticks();
        run_layer(x->network, layer);
        const uint64_t ticks = edgert_port_ticks() - start;
        if (layer >= first && layer - first < EDGERT_MAX_TICKS) {
            edgert_frame_add(x->answer, ticks, 8u);
        }
    }
    edgert_port_watch_end();
    return EDGERT_STATUS_OK;
}

static void add_statistic(edgert_frame *frame, edgert_statistic statistic, uint64_t value) {
    edgert_frame_add(frame, (uint64_t)statistic, 1u);
    edgert_frame_add(frame, value, 8u);
}

static edgert_status stats(const exchange *x) {
    uint64_t bytes = 0u;
    add_statistic(x->answer, EDGERT_STATISTIC_ARENA_BYTES, x->network->arena_bytes);
    if (edgert_port_stack_bytes(&bytes)) {
        add_statistic(x->answer, EDGERT_STATISTIC_STACK_BYTES, bytes);
    }
    if (edgert_port_resident_bytes(&bytes)) {
        add_statistic(x->answer, EDGERT_STATISTIC_RESIDENT_BYTES, bytes);
    }
    if (edgert_port_proportional_bytes(&bytes)) {
        add_statistic(x->answer, EDGERT_STATISTIC_PROPORTIONAL_BYTES, bytes);
    }
    return EDGERT_STATUS_OK;
}

/* No port has a sensor yet. */
static edgert_status sensors(const exchange *x) {
    (void)x;
    return EDGERT_STATUS_UNSUPPORTED;
}

static void add_registers(edgert_frame *frame, const edgert_fault_record *record) {
    const uint32_t told =
        record->registers_told < EDGERT_FAULT_REGISTERS ? record->registers_told : EDGERT_FAULT_REGISTERS;
    edgert_frame_add(frame, told, 4u);
    for (uint32_t i = 0u; i < told; ++i) {
        edgert_frame_add(frame, record->registers[i], 4u);
    }
}

/* Tell the fault record, or nothing when there is none; the byte 1 clears it afterwards. */
static edgert_status fault(const exchange *x) {
    if (x->payload_bytes != 1u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const edgert_fault_record *record = edgert_fault_find();
    if (record != NULL) {
        edgert_frame_add(x->answer, record->kind, 4u);
        edgert_frame_add(x->answer, record->layer, 4u);
        edgert_frame_add(x->answer, record->detail, 4u);
        edgert_frame_add(x->answer, record->pc, 8u);
        edgert_frame_add(x->answer, record->address, 8u);
        edgert_frame_add(x->answer, record->hard_status, 4u);
        edgert_frame_add(x->answer, record->program, 4u);
        edgert_frame_add(x->answer, record->stack_bytes, 4u);
        add_registers(x->answer, record);
    }
    if (x->payload[0] == 1u) {
        edgert_fault_clear();
    }
    return EDGERT_STATUS_OK;
}

static edgert_status reset(const exchange *x) {
    (void)x;
    reset_asked = true;
    return EDGERT_STATUS_OK;
}

static edgert_status threads(const exchange *x) {
    if (x->payload_bytes != 4u) {
        return EDGERT_STATUS_BAD_LENGTH;
    }
    const uint32_t count = edgert_get(x->payload, 4u);
    if (count == 0u) {
        return EDGERT_STATUS_BAD_COUNT;
    }
    return edgert_port_use_threads(count) ? EDGERT_STATUS_OK : EDGERT_STATUS_UNSUPPORTED;
}

static command_function function_of(uint8_t command) {
    switch ((edgert_command)command) {
    case EDGERT_COMMAND_HELLO: return hello;
    case EDGERT_COMMAND_TENSOR: return tensor;
    case EDGERT_COMMAND_WRITE_INPUT: return write_input;
    case EDGERT_COMMAND_RUN: return run;
    case EDGERT_COMMAND_READ_OUTPUT: return read_output;
    case EDGERT_COMMAND_PROFILE: return profile;
    case EDGERT_COMMAND_STATS: return stats;
    case EDGERT_COMMAND_SENSORS: return sensors;
    case EDGERT_COMMAND_FAULT: return fault;
    case EDGERT_COMMAND_RESET: return reset;
    case EDGERT_COMMAND_THREADS: return threads;
    case EDGERT_COMMAND_SLOT_INFO:
    case EDGERT_COMMAND_SLOT_BEGIN:
    case EDGERT_COMMAND_SLOT_WRITE:
    case EDGERT_COMMAND_SLOT_FINISH:
    case EDGERT_COMMAND_SLOT_CONFIRM:
    case EDGERT_COMMAND_SLOT_REVERT: break;
    }
    return NULL;
}

/* That of src/slots/commands.c takes its place where the firmware has model slots. */
__attribute__((weak)) edgert_status edgert_slots_command(uint8_t command, const uint8_t *payload,
                                                         uint32_t payload_bytes, edgert_frame *unused) {
    (void)command;
    (void)payload;
    (void)payload_bytes;
    (void)unused;
    return EDGERT_STATUS_UNKNOWN_COMMAND;
}

static edgert_status execute(const edgert_network *network, const edgert_frame *request) {
    const exchange x = {network, edgert_frame_payload(request), request->payload_bytes, &answer};
    const uint8_t command = edgert_frame_command(request);
    const command_function function = function_of(command);
    in_session = in_session || function == hello;
    if (!in_session) {
        return EDGERT_STATUS_NO_SESSION;
    }
    return function == NULL ? edgert_slots_command(command, x.payload, x.payload_bytes, x.answer) : function(&x);
}

/* A request that is repeated (the host did not get the answer) is answered again and not executed again; but hello,
 * which changes nothing, always is: it may be that of a new host that began with the same sequence number. */
static void respond(const edgert_network *network, const edgert_frame *request) {
    const uint8_t command = edgert_frame_command(request);
    const uint16_t sequence = edgert_frame_sequence(request);
    const bool repeated = in_session && sequence == last_sequence && command != EDGERT_COMMAND_HELLO;
    if (!repeated) {
        edgert_frame_begin(&answer, (uint8_t)(command | EDGERT_ANSWER_BIT), sequence);
        const edgert_status status = execute(network, request);
        edgert_frame_finish(&answer, (uint8_t)status);
        last_sequence = sequence;
    }
    edgert_frame_send(&answer);
}

void edgert_serve(const edgert_network *network) {
    uint8_t byte = 0u;
    in_session = false;
    reset_asked = false;
    edgert_fault_begin(network->build_id, edgert_port_watchdog_fired());
    edgert_receiver_start(&receiver);
    while (edgert_port_read(&byte)) {
        if (!edgert_receiver_take(&receiver, byte)) {
            continue;
        }
        if ((edgert_frame_command(&receiver.frame) & EDGERT_ANSWER_BIT) != 0u) {
            continue;
        }
        respond(network, &receiver.frame);
        if (reset_asked) {
            edgert_port_reset();
        }
    }
}
