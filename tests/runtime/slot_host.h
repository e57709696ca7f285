/* The host's side of an update, calling the device's code instead of sending frames: what it does until the network it wants
 * runs and is confirmed, whatever it finds, and what must hold at every start. */
#ifndef SLOT_HOST_H
#define SLOT_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "slots.h"

#define SLOT_LARGEST_PAYLOAD 65536u

typedef struct {
    uint8_t header[EDGERT_SLOT_HEADER_BYTES];
    uint8_t payload[SLOT_LARGEST_PAYLOAD];
    uint32_t payload_bytes;
} slot_image;

/* The four signed images: networks `old`, `older` and `new`, linked for the slots that the scenarios put them into. */
typedef enum { IMAGE_OLD_A, IMAGE_NEW_B, IMAGE_OLDER_B, IMAGE_NEW_A, IMAGES } image_name;

#define IMAGE_NONE IMAGES

extern slot_image slot_images[IMAGES];

/* Where the flash stands before, and what the host then does. */
typedef enum {
    SCENARIO_FIRST,    /* nothing installed: install new */
    SCENARIO_UPDATE,   /* old confirmed, older confirmed beside it: install new */
    SCENARIO_AGAIN,    /* old confirmed, new was tried and not confirmed: install new */
    SCENARIO_REJECTED, /* old confirmed, older confirmed after it and reverted: install new */
    SCENARIO_PENDING,  /* old confirmed, older installed but not started: install new */
    SCENARIO_REVERT,   /* old confirmed, new confirmed: revert */
    SCENARIOS
} scenario;

extern const char *const scenario_names[SCENARIOS];

/* What was seen since slot_host_begin. */
typedef struct {
    uint32_t starts;
    uint32_t violations;
    const char *violation; /* the last one */
    bool is_done;          /* the device said that the update or the revert is done */
    bool is_confirm_asked;
    uint32_t complaints; /* how often the device reported a failure */
} slot_report;

extern slot_report report;

/* Read the key and the images from a file. False when it is not complete. */
bool slot_host_read(const char *path);

/* Bring the flash to where the scenario begins, on a new chip. */
void slot_host_prepare(scenario which);

void slot_host_begin(scenario which);

/* Switch the device on and do what the scenario wants until it is done, as often as a host would try; then start once more. */
void slot_host_run(void);

/* After an update: a bit of the image in slot 1 decays. The network in the other slot must start. */
void slot_host_decay(void);

/* Switch the device on and look. */
void slot_host_look(void);

/* Note a violation unless it holds. */
void slot_host_expect(bool holds, const char *what);

#endif
