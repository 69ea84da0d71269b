/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A passphrase from anywhere. First byte 0: the rest is what a person typed. Else the rest is a body, sealed as a
 * forger with the right key would: without this nothing gets past the tag. What is accepted must be written back as it
 * is.
 */
#include "core/crypto.h"
#include "core/passphrase.h"
#include <stdlib.h>
#include <string.h>

#define HEAD 17
#define TAG 5
#define BODY_MAX 400
#define TYPED_MAX 100 /* a mistake is searched for, which takes its time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* Written and read again it is the same. */
static void check_again(const meshping_passphrase *first)
{
    meshping_passphrase second;
    char text[MESHPING_PASSPHRASE_TEXT_MAX];
    check(meshping_passphrase_encode(text, first, NULL) == MESHPING_OK);
    check(meshping_passphrase_decode(&second, text, NULL) == MESHPING_OK);
    check(strcmp(first->host, second.host) == 0 && first->port == second.port && first->port != 0);
    check(memcmp(first->key, second.key, sizeof second.key) == 0);
    check(memcmp(first->pin, second.pin, sizeof second.pin) == 0);
}

static void read_text(const char *text)
{
    meshping_passphrase passphrase;
    meshping_error err = {0};
    if (meshping_passphrase_decode(&passphrase, text, &err) == MESHPING_OK)
        check_again(&passphrase);
    else
        check(err.status == MESHPING_INVALID && err.message[0]);
}

static void read_forged(const uint8_t *body, size_t length)
{
    uint8_t raw[HEAD + BODY_MAX + TAG] = {0x10}, key[32];
    meshping_passphrase passphrase;
    if (length > BODY_MAX)
        length = BODY_MAX;
    check(meshping__hkdf(key, raw + 1, MESHPING_PASSPHRASE_KEY_LEN, NULL, 0, "meshping/1 addr") == MESHPING_OK);
    check(meshping__aead_seal(MESHPING__CHACHA20_POLY1305, raw + HEAD, raw + HEAD + length, TAG, key, NULL, raw, 1,
                              body, length) == MESHPING_OK);
    size_t size = HEAD + length + TAG;
    uint8_t *exact = malloc(size); /* so that a sanitizer sees one byte too far */
    check(exact);
    memcpy(exact, raw, size);
    if (meshping__passphrase_open(&passphrase, exact, size))
        check_again(&passphrase);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0]) {
        read_forged(data + 1, size - 1);
        return 0;
    }
    if (size > TYPED_MAX)
        size = TYPED_MAX;
    char *text = malloc(size);
    check(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    read_text(text);
    free(text);
    return 0;
}
