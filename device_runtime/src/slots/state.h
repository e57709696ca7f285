/* What each slot holds, and which one runs. */
#ifndef EDGERT_STATE_H
#define EDGERT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"
#include "slots.h"

edgert_slot_state edgert_slot_look(uint32_t slot);

/* The slot that was picked at boot, or EDGERT_SLOT_NONE. */
uint32_t edgert_slot_running(void);

/* Whether the other slot may be written: either the firmware's own network runs, or a slot that is confirmed. */
bool edgert_slot_other_is_free(void);

/* Choose the newest slot that may start and is not in the set `passed`; one that starts on trial is marked. It runs from now
 * on, as far as this module is concerned. EDGERT_SLOT_NONE when there is none. */
uint32_t edgert_slot_pick(uint32_t passed);

/* Mark the slot that runs as confirmed. OK also when it is already. */
edgert_status edgert_slot_confirm(void);

/* Mark the slot that runs as rejected. A confirmed one only when the other one can take its place. */
edgert_status edgert_slot_revert(void);

#endif
