#include "slot_host.h"

#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "marks.h"
#include "image.h"
#include "install.h"
#include "nor.h"
#include "state.h"

enum { CHUNK = 224, MOST_STARTS = 8 };

const char *const scenario_names[SCENARIOS] = {"first", "update", "again", "rejected", "pending", "revert"};

/* The public key of RFC 8032, 7.1, TEST 1: everybody knows the secret one. */
const uint8_t edgert_slot_key[32] = {0xD7u, 0x5Au, 0x98u, 0x01u, 0x82u, 0xB1u, 0x0Au, 0xB7u, 0xD5u, 0x4Bu, 0xFEu,
                                     0xD3u, 0xC9u, 0x64u, 0x07u, 0x3Au, 0x0Eu, 0xE1u, 0x72u, 0xF3u, 0xDAu, 0xA6u,
                                     0x23u, 0x25u, 0xAFu, 0x02u, 0x1Au, 0x68u, 0xF7u, 0x07u, 0x51u, 0x1Au};

const edgert_network edgert_installed_network = {.target = "simulated"};

slot_image slot_images[IMAGES];
slot_report report;
static scenario current;
static image_name running = IMAGE_NONE;

/* The slot that runs on trial, and may not start again unless it is confirmed or installed anew. */
static uint32_t on_trial = EDGERT_SLOT_NONE;

bool slot_host_read(const char *path) {
    FILE *file = fopen(path, "rb");
    bool is_whole = file != NULL;
    for (uint32_t i = 0u; i < IMAGES && is_whole; ++i) {
        slot_image *image = &slot_images[i];
        is_whole = fread(image->header, 1u, sizeof image->header, file) == sizeof image->header;
        image->payload_bytes = edgert_get(&image->header[EDGERT_HEADER_PAYLOAD_BYTES], 4u);
        is_whole = is_whole && image->payload_bytes <= SLOT_LARGEST_PAYLOAD &&
                   fread(image->payload, 1u, image->payload_bytes, file) == image->payload_bytes;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_whole;
}

void slot_host_expect(bool holds, const char *what) {
    if (!holds) {
        ++report.violations;
        report.violation = what;
    }
}

static bool is_in(uint32_t slot, const slot_image *image) {
    const uint32_t origin = nor.layout.slot_origin[slot];
    return memcmp(nor_at(origin), image->header, sizeof image->header) == 0 &&
           memcmp(nor_at(origin + EDGERT_SLOT_HEADER_BYTES), image->payload, image->payload_bytes) == 0;
}

static image_name image_in(uint32_t slot) {
    uint32_t name = 0u;
    while (name < IMAGES && (slot == EDGERT_SLOT_NONE || !is_in(slot, &slot_images[name]))) {
        ++name;
    }
    return (image_name)name;
}

static bool is_new(image_name name) {
    return name == IMAGE_NEW_A || name == IMAGE_NEW_B;
}

static bool is_old(image_name name) {
    return name == IMAGE_OLD_A;
}

/* Old or new, whole, and what the device said to be done stays done. */
static void expect_good_start(void) {
    const bool is_wanted = current == SCENARIO_REVERT ? is_old(running) : is_new(running);
    const bool may_be_none = current == SCENARIO_FIRST && edgert_slot_running() == EDGERT_SLOT_NONE;
    const bool may_be_older = current == SCENARIO_PENDING && running == IMAGE_OLDER_B;
    ++report.starts;
    slot_host_expect(is_old(running) || is_new(running) || may_be_none || may_be_older, "neither old nor new starts");
    slot_host_expect(!report.is_done || is_wanted, "what was done is undone");
    const bool is_asked = report.is_confirm_asked || current == SCENARIO_REVERT || !is_new(running);
    slot_host_expect(is_asked || !edgert_marks_say_confirmed(edgert_slot_running()), "nobody confirmed it");
    slot_host_expect(on_trial == EDGERT_SLOT_NONE || edgert_slot_running() != on_trial, "a trial is repeated");
}

static void note_trial(void) {
    const uint32_t slot = edgert_slot_running();
    on_trial = slot != EDGERT_SLOT_NONE && !edgert_marks_say_confirmed(slot) ? slot : EDGERT_SLOT_NONE;
}

static void start(void) {
    nor.protected_slot = EDGERT_SLOTS;
    edgert_install_forget();
    nor.protected_slot = edgert_slot_pick(0u);
    running = image_in(edgert_slot_running());
}

static edgert_status write_payload(const slot_image *image, uint32_t held) {
    edgert_status status = EDGERT_STATUS_OK;
    while (held < image->payload_bytes && status == EDGERT_STATUS_OK) {
        const uint32_t left = image->payload_bytes - held;
        status = edgert_install_write(held, &image->payload[held], left < CHUNK ? left : CHUNK, &held);
    }
    return status;
}

static edgert_status install(const slot_image *image) {
    uint8_t digest[EDGERT_SHA256_BYTES];
    edgert_slot_state state = EDGERT_SLOT_STATE_EMPTY;
    uint32_t held = 0u;
    edgert_status status = edgert_install_begin(image->header, &state, &held);
    if (status != EDGERT_STATUS_OK || state == EDGERT_SLOT_STATE_INSTALLED) {
        return status;
    }
    status = write_payload(image, held);
    return status == EDGERT_STATUS_OK ? edgert_install_finish(digest) : status;
}

/* Where nothing runs, either slot will do: the one without an image is taken. */
static const slot_image *image_to_install(void) {
    const uint32_t slot = edgert_slot_running();
    const bool is_for_b = slot == EDGERT_SLOT_NONE ? edgert_marks_sequence(0u) != 0u : slot == 0u;
    return &slot_images[is_for_b ? IMAGE_NEW_B : IMAGE_NEW_A];
}

/* A network that cannot be confirmed is installed once more, after the old one is back. */
static edgert_status give_up_trial(edgert_status status) {
    (void)edgert_slot_revert();
    return status;
}

/* One step towards the new network; what runs on trial and is not wanted is reverted first. */
static edgert_status step_to_new(void) {
    on_trial = EDGERT_SLOT_NONE;
    if (is_new(running)) {
        report.is_confirm_asked = true;
        const edgert_status status = edgert_slot_confirm();
        report.is_done = status == EDGERT_STATUS_OK;
        return report.is_done ? status : give_up_trial(status);
    }
    return edgert_slot_other_is_free() ? install(image_to_install()) : edgert_slot_revert();
}

static edgert_status step_back(void) {
    const edgert_status status = is_new(running) ? edgert_slot_revert() : EDGERT_STATUS_OK;
    report.is_done = status == EDGERT_STATUS_OK;
    return status;
}

void slot_host_begin(scenario which) {
    memset(&report, 0, sizeof report);
    on_trial = which == SCENARIO_AGAIN ? 1u : EDGERT_SLOT_NONE;
    current = which;
}

void slot_host_look(void) {
    start();
    expect_good_start();
    note_trial();
}

void slot_host_decay(void) {
    if (current == SCENARIO_FIRST || !is_new(running)) {
        return;
    }
    report.is_done = false;
    nor_decay(nor.layout.slot_origin[1] +
              nor_random(EDGERT_SLOT_HEADER_BYTES + slot_images[IMAGE_NEW_B].payload_bytes));
    slot_host_look();
}

void slot_host_run(void) {
    for (uint32_t i = 0u; i < MOST_STARTS && !report.is_done; ++i) {
        slot_host_look();
        const edgert_status status = current == SCENARIO_REVERT ? step_back() : step_to_new();
        report.complaints += status == EDGERT_STATUS_OK ? 0u : 1u;
    }
    slot_host_look();
}

static void install_and_start(image_name name, bool is_confirmed) {
    slot_host_expect(install(&slot_images[name]) == EDGERT_STATUS_OK, "the preparation installs");
    start();
    slot_host_expect(running == name, "the preparation starts what it installed");
    slot_host_expect(!is_confirmed || edgert_slot_confirm() == EDGERT_STATUS_OK, "the preparation confirms");
}

void slot_host_prepare(scenario which) {
    slot_host_begin(which);
    start();
    if (which == SCENARIO_FIRST) {
        return;
    }
    if (which == SCENARIO_UPDATE) {
        install_and_start(IMAGE_OLDER_B, true);
    }
    install_and_start(IMAGE_OLD_A, true);
    switch (which) {
    case SCENARIO_FIRST:
    case SCENARIO_UPDATE: break;
    case SCENARIO_AGAIN: install_and_start(IMAGE_NEW_B, false); break;
    case SCENARIO_REJECTED:
        install_and_start(IMAGE_OLDER_B, true);
        slot_host_expect(edgert_slot_revert() == EDGERT_STATUS_OK, "the preparation reverts");
        break;
    case SCENARIO_PENDING:
        slot_host_expect(install(&slot_images[IMAGE_OLDER_B]) == EDGERT_STATUS_OK, "the preparation installs");
        break;
    case SCENARIO_REVERT: install_and_start(IMAGE_NEW_B, true); break;
    case SCENARIOS: break;
    }
}
