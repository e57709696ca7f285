/* The command loop over a network and a port in memory. */
#include <stdbool.h>
#include <string.h>

#include "bytes.h"
#include "check.h"
#include "edgert.h"
#include "fake_port.h"
#include "fault.h"
#include "frame.h"
#include "random.h"
#include "serve.h"

enum { LAYERS = 40, REQUESTS = 50000, MOST_ANSWERS = 64 };

static uint8_t inputs_data[2][300];
static uint8_t output_data[600];
static uint32_t layer_calls[LAYERS];

/* Layer n takes n + 1 ticks; the last one writes the output. */
static void run_layer(uint32_t layer) {
    ++layer_calls[layer];
    port.ticks += layer + 1u;
    CHECK(edgert_current_layer == layer);
    for (uint32_t i = 0u; layer == LAYERS - 1u && i < sizeof output_data; ++i) {
        output_data[i] = (uint8_t)(inputs_data[0][i % 300u] + inputs_data[1][i % 300u] + i);
    }
}

static const edgert_tensor inputs[] = {{"left", EDGERT_UINT8, 2u, {1u, 300u}, 0x3F800000u, 5, 300u, inputs_data[0]},
                                       {"right", EDGERT_INT8, 3u, {1u, 100u, 3u}, 0u, 0, 300u, inputs_data[1]}};
static const edgert_tensor outputs[] = {{"sum", EDGERT_UINT8, 2u, {1u, 600u}, 0u, 0, 600u, output_data}};
static const edgert_network network = {{0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 10u, 11u, 12u, 13u, 14u, 15u},
                                       "fake",
                                       2u,
                                       1u,
                                       LAYERS,
                                       1200u,
                                       0u,
                                       inputs,
                                       outputs,
                                       NULL,
                                       run_layer};

typedef struct {
    edgert_frame frames[MOST_ANSWERS];
    uint32_t count;
} answers;

static answers got;
static uint16_t next_sequence;

static void put_request(uint8_t command, uint16_t sequence, const void *payload, uint32_t count) {
    static edgert_frame request;
    const uint32_t before = port.outbox_count;
    edgert_frame_begin(&request, command, sequence);
    edgert_frame_add_bytes(&request, payload, count);
    edgert_frame_finish(&request, 0u);
    edgert_frame_send(&request);
    fake_port_put(&port.outbox[before], port.outbox_count - before);
    port.outbox_count = before;
}

/* Serve until the inbox is empty and read what was answered. Serving begins without a session. */
static void serve_network(const edgert_network *served) {
    static edgert_receiver receiver;
    edgert_serve(served);
    got.count = 0u;
    edgert_receiver_start(&receiver);
    for (uint32_t i = 0u; i < port.outbox_count; ++i) {
        if (edgert_receiver_take(&receiver, port.outbox[i]) && got.count < MOST_ANSWERS) {
            got.frames[got.count] = receiver.frame;
            ++got.count;
        }
    }
}

static void serve(void) {
    serve_network(&network);
}

static void begin(void) {
    fake_port_clear();
    memset(layer_calls, 0, sizeof layer_calls);
    next_sequence = 100u;
    put_request(EDGERT_COMMAND_HELLO, next_sequence, "", 0u);
}

static void ask(uint8_t command, const void *payload, uint32_t count) {
    ++next_sequence;
    put_request(command, next_sequence, payload, count);
}

static const edgert_frame *last_answer(void) {
    CHECK(got.count > 0u);
    return &got.frames[got.count == 0u ? 0u : got.count - 1u];
}

static edgert_status status_of(const edgert_frame *frame) {
    return (edgert_status)frame->bytes[1];
}

/* One request in a session of its own: its status. */
static edgert_status status_for(uint8_t command, const void *payload, uint32_t count) {
    begin();
    ask(command, payload, count);
    serve();
    CHECK(got.count == 2u);
    CHECK(edgert_frame_command(last_answer()) == (command | EDGERT_ANSWER_BIT));
    CHECK(edgert_frame_sequence(last_answer()) == next_sequence);
    return status_of(last_answer());
}

static void hello_tells_the_network(void) {
    begin();
    serve();
    const uint8_t *payload = edgert_frame_payload(last_answer());
    CHECK(edgert_get(payload, 2u) == EDGERT_PROTOCOL_VERSION);
    CHECK(edgert_get(&payload[2], 2u) == EDGERT_MAX_PAYLOAD);
    CHECK(memcmp(&payload[4], network.build_id, 16u) == 0);
    CHECK(edgert_get(&payload[20], 4u) == 1000u);
    CHECK(edgert_get(&payload[28], 4u) == 2u && edgert_get(&payload[32], 4u) == 1u);
    CHECK(edgert_get(&payload[36], 4u) == LAYERS && edgert_get(&payload[40], 4u) == 1200u);
    CHECK(payload[44] == 4u && memcmp(&payload[45], "fake", 4u) == 0);
    CHECK(last_answer()->payload_bytes == 49u);
}

static void a_tensor_is_described(void) {
    CHECK(status_for(EDGERT_COMMAND_TENSOR, (uint8_t[]){0u, 1u, 0u, 0u, 0u}, 5u) == EDGERT_STATUS_OK);
    const uint8_t *payload = edgert_frame_payload(last_answer());
    CHECK(payload[0] == EDGERT_INT8 && payload[1] == 3u);
    CHECK(edgert_get(&payload[2], 4u) == 1u && edgert_get(&payload[6], 4u) == 100u &&
          edgert_get(&payload[10], 4u) == 3u);
    CHECK(edgert_get(&payload[22], 4u) == 300u);
    CHECK(payload[26] == 5u && memcmp(&payload[27], "right", 5u) == 0);
}

static void nothing_but_hello_is_done_without_a_session(void) {
    fake_port_clear();
    memset(layer_calls, 0, sizeof layer_calls);
    put_request(EDGERT_COMMAND_RUN, 1u, (uint8_t[]){1u, 0u, 0u, 0u}, 4u);
    put_request(EDGERT_COMMAND_RUN, 1u, (uint8_t[]){1u, 0u, 0u, 0u}, 4u);
    serve();
    CHECK(got.count == 2u);
    CHECK(status_of(&got.frames[0]) == EDGERT_STATUS_NO_SESSION);
    CHECK(status_of(&got.frames[1]) == EDGERT_STATUS_NO_SESSION);
    CHECK(layer_calls[0] == 0u);
}

static void a_repeated_run_is_answered_again_but_not_run_again(void) {
    begin();
    ask(EDGERT_COMMAND_RUN, (uint8_t[]){2u, 0u, 0u, 0u}, 4u);
    put_request(EDGERT_COMMAND_RUN, next_sequence, (uint8_t[]){2u, 0u, 0u, 0u}, 4u);
    put_request(EDGERT_COMMAND_RUN, next_sequence, (uint8_t[]){2u, 0u, 0u, 0u}, 4u);
    serve();
    CHECK(got.count == 4u);
    CHECK(layer_calls[0] == 2u && layer_calls[LAYERS - 1] == 2u);
    CHECK(memcmp(got.frames[1].bytes, got.frames[3].bytes, EDGERT_HEADER_BYTES + 16u + 4u) == 0);
}

static void a_repeated_hello_begins_anew(void) {
    begin();
    put_request(EDGERT_COMMAND_HELLO, next_sequence, "", 0u);
    serve();
    CHECK(got.count == 2u);
    CHECK(status_of(last_answer()) == EDGERT_STATUS_OK);
}

static void run_tells_the_ticks_of_every_inference(void) {
    CHECK(status_for(EDGERT_COMMAND_RUN, (uint8_t[]){32u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_OK);
    CHECK(last_answer()->payload_bytes == 256u);
    for (uint32_t i = 0u; i < 32u; ++i) {
        CHECK(edgert_get(&edgert_frame_payload(last_answer())[8u * i], 4u) == LAYERS * (LAYERS + 1) / 2);
    }
    CHECK(edgert_current_layer == EDGERT_NO_LAYER);
}

static void run_refuses_none_and_too_many(void) {
    CHECK(status_for(EDGERT_COMMAND_RUN, (uint8_t[]){0u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_BAD_COUNT);
    CHECK(status_for(EDGERT_COMMAND_RUN, (uint8_t[]){33u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_BAD_COUNT);
    CHECK(status_for(EDGERT_COMMAND_RUN, (uint8_t[]){0u, 0u, 0u, 1u}, 4u) == EDGERT_STATUS_BAD_COUNT);
}

static void profile_tells_a_part_of_the_layers_of_a_whole_inference(void) {
    CHECK(status_for(EDGERT_COMMAND_PROFILE, (uint8_t[]){10u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_OK);
    CHECK(last_answer()->payload_bytes == 8u * 30u);
    CHECK(edgert_get(edgert_frame_payload(last_answer()), 4u) == 11u);
    CHECK(layer_calls[0] == 1u && layer_calls[LAYERS - 1] == 1u);
    CHECK(status_for(EDGERT_COMMAND_PROFILE, (uint8_t[]){0u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_OK);
    CHECK(last_answer()->payload_bytes == 256u);
    CHECK(status_for(EDGERT_COMMAND_PROFILE, (uint8_t[]){LAYERS, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_BAD_INDEX);
}

static void an_inference_uses_what_was_written(void) {
    uint8_t write[8u + 200u] = {1u, 0u, 0u, 0u, 100u, 0u, 0u, 0u};
    memset(inputs_data, 0, sizeof inputs_data);
    memset(&write[8], 3, 200u);
    begin();
    ask(EDGERT_COMMAND_WRITE_INPUT, write, sizeof write);
    ask(EDGERT_COMMAND_RUN, (uint8_t[]){1u, 0u, 0u, 0u}, 4u);
    ask(EDGERT_COMMAND_READ_OUTPUT, (uint8_t[]){0u, 0u, 0u, 0u, 98u, 0u, 0u, 0u, 4u, 0u, 0u, 0u}, 12u);
    serve();
    CHECK(last_answer()->payload_bytes == 4u);
    CHECK(memcmp(edgert_frame_payload(last_answer()), (uint8_t[]){98u, 99u, 103u, 104u}, 4u) == 0);
}

static edgert_status status_of_write(uint32_t index, uint32_t offset, uint32_t count) {
    uint8_t payload[EDGERT_MAX_PAYLOAD] = {0};
    edgert_put(payload, index, 4u);
    edgert_put(&payload[4], offset, 4u);
    return status_for(EDGERT_COMMAND_WRITE_INPUT, payload, 8u + count);
}

static void writing_keeps_to_the_tensor(void) {
    CHECK(status_of_write(0u, 299u, 1u) == EDGERT_STATUS_OK);
    CHECK(status_of_write(0u, 300u, 0u) == EDGERT_STATUS_OK);
    CHECK(status_of_write(0u, 299u, 2u) == EDGERT_STATUS_BAD_RANGE);
    CHECK(status_of_write(0u, 301u, 0u) == EDGERT_STATUS_BAD_RANGE);
    CHECK(status_of_write(0u, 0xFFFFFFFFu, 2u) == EDGERT_STATUS_BAD_RANGE);
    CHECK(status_of_write(2u, 0u, 1u) == EDGERT_STATUS_BAD_INDEX);
}

static edgert_status status_of_read(uint32_t index, uint32_t offset, uint32_t count) {
    uint8_t payload[12];
    edgert_put(payload, index, 4u);
    edgert_put(&payload[4], offset, 4u);
    edgert_put(&payload[8], count, 4u);
    return status_for(EDGERT_COMMAND_READ_OUTPUT, payload, sizeof payload);
}

static void reading_keeps_to_the_tensor_and_to_a_frame(void) {
    CHECK(status_of_read(0u, 344u, 256u) == EDGERT_STATUS_OK);
    CHECK(status_of_read(0u, 345u, 256u) == EDGERT_STATUS_BAD_RANGE);
    CHECK(status_of_read(0u, 0u, 257u) == EDGERT_STATUS_BAD_RANGE);
    CHECK(status_of_read(0u, 1u, 0xFFFFFFFFu) == EDGERT_STATUS_BAD_RANGE);
    CHECK(status_of_read(1u, 0u, 1u) == EDGERT_STATUS_BAD_INDEX);
}

static void a_request_of_the_wrong_length_is_refused(void) {
    const uint8_t zeros[16] = {0};
    CHECK(status_for(EDGERT_COMMAND_TENSOR, zeros, 4u) == EDGERT_STATUS_BAD_LENGTH);
    CHECK(status_for(EDGERT_COMMAND_WRITE_INPUT, zeros, 7u) == EDGERT_STATUS_BAD_LENGTH);
    CHECK(status_for(EDGERT_COMMAND_RUN, zeros, 3u) == EDGERT_STATUS_BAD_LENGTH);
    CHECK(status_for(EDGERT_COMMAND_READ_OUTPUT, zeros, 13u) == EDGERT_STATUS_BAD_LENGTH);
    CHECK(status_for(EDGERT_COMMAND_PROFILE, zeros, 0u) == EDGERT_STATUS_BAD_LENGTH);
    CHECK(status_for(EDGERT_COMMAND_FAULT, zeros, 0u) == EDGERT_STATUS_BAD_LENGTH);
    CHECK(status_for(EDGERT_COMMAND_THREADS, zeros, 3u) == EDGERT_STATUS_BAD_LENGTH);
}

static void an_unknown_command_is_refused(void) {
    CHECK(status_for(0u, "", 0u) == EDGERT_STATUS_UNKNOWN_COMMAND);
    CHECK(status_for(12u, "", 0u) == EDGERT_STATUS_UNKNOWN_COMMAND);
}

static void an_echo_of_an_answer_is_not_answered(void) {
    begin();
    ask(EDGERT_COMMAND_HELLO | EDGERT_ANSWER_BIT, "", 0u);
    serve();
    CHECK(got.count == 1u);
}

static void statistics_are_those_that_the_port_has(void) {
    CHECK(status_for(EDGERT_COMMAND_STATS, "", 0u) == EDGERT_STATUS_OK);
    const uint8_t *payload = edgert_frame_payload(last_answer());
    CHECK(last_answer()->payload_bytes == 18u);
    CHECK(payload[0] == EDGERT_STATISTIC_ARENA_BYTES && edgert_get(&payload[1], 4u) == 1200u);
    CHECK(payload[9] == EDGERT_STATISTIC_STACK_BYTES && edgert_get(&payload[10], 4u) == 1234u);
}

static void a_process_tells_its_resident_memory(void) {
    port.is_process = true;
    CHECK(status_for(EDGERT_COMMAND_STATS, "", 0u) == EDGERT_STATUS_OK);
    port.is_process = false;
    const uint8_t *payload = edgert_frame_payload(last_answer());
    CHECK(last_answer()->payload_bytes == 27u);
    CHECK(payload[9] == EDGERT_STATISTIC_RESIDENT_BYTES && edgert_get(&payload[10], 4u) == 5678u);
    CHECK(payload[18] == EDGERT_STATISTIC_PROPORTIONAL_BYTES && edgert_get(&payload[19], 4u) == 4321u);
}

static void a_name_is_cut_to_128_bytes(void) {
    char name[300];
    edgert_network long_named = network;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1u] = '\0';
    long_named.target = name;
    begin();
    serve_network(&long_named);
    CHECK(got.count == 1u);
    CHECK(last_answer()->payload_bytes == 45u + 128u && edgert_frame_payload(last_answer())[44] == 128u);
}

static void there_are_no_sensors(void) {
    CHECK(status_for(EDGERT_COMMAND_SENSORS, "", 0u) == EDGERT_STATUS_UNSUPPORTED);
}

static void threads_are_as_many_as_the_port_has(void) {
    CHECK(status_for(EDGERT_COMMAND_THREADS, (uint8_t[]){FAKE_THREADS, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_OK);
    CHECK(port.threads == FAKE_THREADS);
    CHECK(status_for(EDGERT_COMMAND_THREADS, (uint8_t[]){0u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_BAD_COUNT);
    CHECK(status_for(EDGERT_COMMAND_THREADS, (uint8_t[]){5u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_UNSUPPORTED);
    CHECK(port.threads == FAKE_THREADS);
}

static void a_fault_record_is_told_until_it_is_cleared(void) {
    edgert_current_layer = 3u;
    edgert_fault_store(EDGERT_FAULT_BUS, 0x10u, 0x20u, 0x30u);
    edgert_current_layer = EDGERT_NO_LAYER;
    CHECK(status_for(EDGERT_COMMAND_FAULT, (uint8_t[]){0u}, 1u) == EDGERT_STATUS_OK);
    CHECK(last_answer()->payload_bytes == 44u);
    CHECK(edgert_get(&edgert_frame_payload(last_answer())[4], 4u) == 3u);
    CHECK(status_for(EDGERT_COMMAND_FAULT, (uint8_t[]){1u}, 1u) == EDGERT_STATUS_OK);
    CHECK(last_answer()->payload_bytes == 44u);
    CHECK(status_for(EDGERT_COMMAND_FAULT, (uint8_t[]){0u}, 1u) == EDGERT_STATUS_OK);
    CHECK(last_answer()->payload_bytes == 0u);
}

static void a_record_tells_the_registers_and_the_program(void) {
    edgert_fault_record told = {.kind = EDGERT_FAULT_HARD, .hard_status = 7u, .stack_bytes = 99u, .registers_told = 2u};
    told.registers[1] = 0xABCDu;
    edgert_fault_begin(network.build_id, false);
    edgert_fault_keep(&told);
    CHECK(status_for(EDGERT_COMMAND_FAULT, (uint8_t[]){1u}, 1u) == EDGERT_STATUS_OK);
    const uint8_t *answer = edgert_frame_payload(last_answer());
    CHECK(last_answer()->payload_bytes == 52u);
    CHECK(edgert_get(&answer[28], 4u) == 7u);
    CHECK(edgert_get(&answer[32], 4u) == edgert_get(network.build_id, 4u));
    CHECK(edgert_get(&answer[36], 4u) == 99u);
    CHECK(edgert_get(&answer[40], 4u) == 2u);
    CHECK(edgert_get(&answer[48], 4u) == 0xABCDu);
}

static void every_inference_is_watched(void) {
    port.watches = 0u;
    port.watches_ended = 0u;
    CHECK(status_for(EDGERT_COMMAND_RUN, (uint8_t[]){3u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_OK);
    CHECK(status_for(EDGERT_COMMAND_PROFILE, (uint8_t[]){0u, 0u, 0u, 0u}, 4u) == EDGERT_STATUS_OK);
    CHECK(port.watches == 4u && port.watches_ended == 4u);
}

static void reset_is_answered_before_it_happens(void) {
    begin();
    ask(EDGERT_COMMAND_RESET, "", 0u);
    ask(EDGERT_COMMAND_STATS, "", 0u);
    if (setjmp(port.on_reset) == 0) {
        edgert_serve(&network);
        CHECK(false);
    }
    port.inbox_count = port.inbox_taken;
    serve();
    CHECK(got.count == 2u);
    CHECK(edgert_frame_command(last_answer()) == (EDGERT_COMMAND_RESET | EDGERT_ANSWER_BIT));
}

/* The sanitizers watch. RESET and what follows are left out: it ends the loop. */
static void random_requests_do_no_harm(void) {
    uint8_t payload[EDGERT_MAX_PAYLOAD];
    for (uint32_t round = 0u; round < REQUESTS; ++round) {
        const uint8_t command = (uint8_t)random_below(EDGERT_COMMAND_RESET);
        const uint32_t count = random_below(random_below(2u) == 0u ? 14u : EDGERT_MAX_PAYLOAD + 1u);
        random_bytes(payload, count);
        for (uint32_t i = 0u; i < count && i < 12u; ++i) {
            payload[i] = random_below(3u) == 0u ? payload[i] : 0u;
        }
        begin();
        ask(command, payload, count);
        serve();
        CHECK(got.count == 2u);
    }
}

int main(void) {
    RUN_TEST(hello_tells_the_network);
    RUN_TEST(a_tensor_is_described);
    RUN_TEST(nothing_but_hello_is_done_without_a_session);
    RUN_TEST(a_repeated_run_is_answered_again_but_not_run_again);
    RUN_TEST(a_repeated_hello_begins_anew);
    RUN_TEST(run_tells_the_ticks_of_every_inference);
    RUN_TEST(run_refuses_none_and_too_many);
    RUN_TEST(profile_tells_a_part_of_the_layers_of_a_whole_inference);
    RUN_TEST(an_inference_uses_what_was_written);
    RUN_TEST(writing_keeps_to_the_tensor);
    RUN_TEST(reading_keeps_to_the_tensor_and_to_a_frame);
    RUN_TEST(a_request_of_the_wrong_length_is_refused);
    RUN_TEST(an_unknown_command_is_refused);
    RUN_TEST(an_echo_of_an_answer_is_not_answered);
    RUN_TEST(statistics_are_those_that_the_port_has);
    RUN_TEST(a_process_tells_its_resident_memory);
    RUN_TEST(a_name_is_cut_to_128_bytes);
    RUN_TEST(there_are_no_sensors);
    RUN_TEST(threads_are_as_many_as_the_port_has);
    RUN_TEST(a_fault_record_is_told_until_it_is_cleared);
    RUN_TEST(a_record_tells_the_registers_and_the_program);
    RUN_TEST(every_inference_is_watched);
    RUN_TEST(reset_is_answered_before_it_happens);
    RUN_TEST(random_requests_do_no_harm);
    return TEST_RESULT;
}
