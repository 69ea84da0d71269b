/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first message of a stranger, as the server takes it: decoded, then opened. And the info of an agent that signs
 * and encrypts rightly, for nothing else gets that far: whatever it says of itself must be sound when it is believed.
 */
#include "core/crypto.h"
#include "core/json.h"
#include <meshping/protocol.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static const uint8_t passphrase_key[MESHPING_PASSPHRASE_KEY_LEN] = {1, 2, 3};

static void read_info(const char *json, size_t length)
{
    meshping_agent_info info, again;
    meshping_error err = {0};
    char *text;
    size_t text_length;
    if (meshping__info_decode(&info, json, length, &err) != MESHPING_OK) {
        check(err.message[0]);
        return;
    }
    check(info.epoch && info.host_name[0]);
    check(meshping__info_encode(&text, &text_length, &info) == MESHPING_OK);
    check(meshping__info_decode(&again, text, text_length, &err) == MESHPING_OK);
    check(info.epoch == again.epoch && strcmp(info.host_name, again.host_name) == 0 &&
          strcmp(info.address, again.address) == 0 && strcmp(info.version, again.version) == 0);
    meshping_free(text);

    /* an agent may say all of this, and the server opens it, if it is not too long */
    for (int enrol = 0; enrol < 2; enrol++) {
        uint8_t seed[MESHPING_KEY_LEN] = {7};
        meshping_binding binding = {.server_id = 5};
        meshping_handshake handshake;
        check(meshping_identity_public(binding.public_key, seed) == MESHPING_OK);
        meshping_status status = enrol
                                     ? meshping_handshake_enrol(&handshake, &binding, seed, passphrase_key, &info, &err)
                                     : meshping_handshake_resume(&handshake, &binding, seed, NULL, &info, &err);
        check(status == MESHPING_OK || status == MESHPING_LIMIT);
        if (status != MESHPING_OK)
            continue;
        check(meshping_handshake_open(&again, &handshake, &binding, passphrase_key, &err) == MESHPING_OK);
        check(again.epoch == info.epoch);
        handshake.info[length % handshake.info_length] ^= 1;
        check(meshping_handshake_open(&again, &handshake, &binding, passphrase_key, &err) == MESHPING_CRYPTO);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    meshping_message message;
    meshping_binding binding = {.server_id = 5};
    meshping_agent_info info;
    meshping_error err = {0};
    if (size > MESHPING_HELLO_MAX)
        return 0;
    read_info((const char *)data, size);
    if (meshping_message_decode(&message, (const char *)data, size, NULL) != MESHPING_OK)
        return 0;
    /* nobody without a key has a signature for this connection: all zeros were never signed */
    if (message.event == MESHPING_EVENT_HANDSHAKE)
        check(meshping_handshake_open(&info, &message.u.handshake, &binding, passphrase_key, &err) != MESHPING_OK &&
              err.message[0]);
    meshping_message_dispose(&message);
    return 0;
}
