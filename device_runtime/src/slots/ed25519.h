/* Ed25519 of RFC 8032: verification only. */
#ifndef EDGERT_ED25519_H
#define EDGERT_ED25519_H

#include <stdbool.h>
#include <stdint.h>

#define EDGERT_ED25519_SIGNATURE_BYTES 64u
#define EDGERT_ED25519_KEY_BYTES 32u

/* True when `signature` is that of `count` bytes by the owner of `key`. Strict: S < L, R and the key as RFC 8032 encodes
 * them, and no key of small order, with which everything could be signed. */
bool edgert_ed25519_verify(const uint8_t signature[EDGERT_ED25519_SIGNATURE_BYTES], const uint8_t *message,
                           uint32_t count, const uint8_t key[EDGERT_ED25519_KEY_BYTES]);

#endif
