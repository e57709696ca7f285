/* What installing into a model slot costs, as a network whose layers are checking a signature and hashing: PROFILE counts them. */
#include <stddef.h>

#include "edgert.h"
#include "ed25519.h"
#include "sha256.h"

enum { HASHED = 4096, SIGNED = 192 };

static uint8_t verdict;
static const uint8_t message[HASHED];

/* By the key of RFC 8032's TEST 1, of 192 zeros. */
static const uint8_t key[EDGERT_ED25519_KEY_BYTES] = {KEY};
static const uint8_t signature[EDGERT_ED25519_SIGNATURE_BYTES] = {SIGNATURE};

static void hash(void) {
    uint8_t digest[EDGERT_SHA256_BYTES];
    edgert_sha256 state;
    edgert_sha256_begin(&state);
    edgert_sha256_add(&state, message, HASHED);
    edgert_sha256_end(&state, digest);
}

static void run_layer(uint32_t layer) {
    if (layer == 0u) {
        verdict = edgert_ed25519_verify(signature, message, SIGNED, key) ? 1u : 0u;
    } else {
        hash();
    }
}

static const edgert_tensor inputs[] = {{"none", EDGERT_UINT8, 1u, {1u}, 0u, 0, 1u, &verdict}};
static const edgert_tensor outputs[] = {{"verdict", EDGERT_UINT8, 1u, {1u}, 0u, 0, 1u, &verdict}};

const edgert_network edgert_installed_network = {.target = "signature",
                                                 .inputs = 1u,
                                                 .outputs = 1u,
                                                 .layers = 2u,
                                                 .input = inputs,
                                                 .output = outputs,
                                                 .run_layer = run_layer};
