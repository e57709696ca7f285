/* Reads cases on stdin and answers each with a byte: '1' where the signature holds, '0' where not.
 * A case is a u32 length, a key, a signature, and as many bytes of message. With the argument `sha256` or `sha512` a case is a u32
 * length and bytes, and the answer the digest. */
#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "ed25519.h"
#include "sha256.h"
#include "sha512.h"

enum { LONGEST = 1 << 16 };

static uint8_t message[LONGEST];

static bool take(uint8_t *bytes, uint32_t count) {
    return fread(bytes, 1u, count, stdin) == count;
}

/* In pieces of uneven length, as a caller may bring them. */
static void hash_256(uint32_t count) {
    uint8_t digest[EDGERT_SHA256_BYTES];
    edgert_sha256 hash;
    edgert_sha256_begin(&hash);
    edgert_sha256_add(&hash, message, count / 3u);
    edgert_sha256_add(&hash, &message[count / 3u], count - count / 3u);
    edgert_sha256_end(&hash, digest);
    (void)fwrite(digest, 1u, sizeof digest, stdout);
}

static void hash_512(uint32_t count) {
    uint8_t digest[EDGERT_SHA512_BYTES];
    edgert_sha512 hash;
    edgert_sha512_begin(&hash);
    edgert_sha512_add(&hash, message, count / 3u);
    edgert_sha512_add(&hash, &message[count / 3u], count - count / 3u);
    edgert_sha512_end(&hash, digest);
    (void)fwrite(digest, 1u, sizeof digest, stdout);
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "ed25519";
    uint8_t length[4];
    uint8_t key[EDGERT_ED25519_KEY_BYTES];
    uint8_t signature[EDGERT_ED25519_SIGNATURE_BYTES];
    while (take(length, sizeof length)) {
        const uint32_t bytes = edgert_get(length, sizeof length);
        const bool is_signature = strcmp(what, "ed25519") == 0;
        if (bytes > LONGEST || (is_signature && !(take(key, sizeof key) && take(signature, sizeof signature))) ||
            !take(message, bytes)) {
            return 1;
        }
        if (is_signature) {
            (void)putchar(edgert_ed25519_verify(signature, message, bytes, key) ? '1' : '0');
        } else if (strcmp(what, "sha256") == 0) {
            hash_256(bytes);
        } else {
            hash_512(bytes);
        }
    }
    return 0;
}
