/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that lie in the database, under the key file: AES-256-GCM; docs/PROTOCOL.md, At rest. Pure. */
#ifndef MESHPINGD_SEAL_H
#define MESHPINGD_SEAL_H

#include <meshping/common.h>

#define SEAL_KEY_LEN 32
#define SEAL_OVERHEAD 28 /* nonce, tag */

/* out[length + SEAL_OVERHEAD]: nonce, ciphertext, tag. `what` names the secret: sealed as one it opens as no other. */
bool seal_close(uint8_t *out, const uint8_t key[SEAL_KEY_LEN], const void *what, size_t what_length, const void *plain,
                size_t length);
/* out[sealed_length - SEAL_OVERHEAD]; false: another key, another secret, or changed. */
bool seal_open(uint8_t *out, const uint8_t key[SEAL_KEY_LEN], const void *what, size_t what_length,
               const uint8_t *sealed, size_t sealed_length);

#endif
