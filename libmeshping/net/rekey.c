/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another key for this agent: docs/PROTOCOL.md, Another key. The new seed is durable before the server hears of it, and
 * takes the old one's place only when the server says that it has: whatever is cut short, one of the two is good, and
 * the server says which.
 */
#include "net/internal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static void fail(meshping_session *session, const meshping_error *err)
{
    char message[MESHPING_ERROR_MESSAGE_MAX + 64];
    snprintf(message, sizeof message, "the old key stays, no new one can be made: %s", err->message);
    meshping__session_tell(session, message);
}

void meshping__rekey_asked(meshping_session *session, const meshping_rekey_request *request)
{
    meshping_message reply = {.event = MESHPING_EVENT_REKEY};
    meshping_error err = {0};
    uint8_t seed[MESHPING_KEY_LEN];
    meshping_status status = meshping__random(seed, sizeof seed);
    if (status != MESHPING_OK)
        meshping_error_set(&err, status, "no random numbers to be had");
    if (status == MESHPING_OK)
        status = meshping__state_next_save(seed, session->state_dir, &err);
    if (status == MESHPING_OK)
        status = meshping_rekey_make(&reply.u.rekey, &session->binding, request->nonce, session->seed, seed, &err);
    if (status == MESHPING_OK)
        meshping__link_send(session, &reply);
    else
        fail(session, &err);
    OPENSSL_cleanse(seed, sizeof seed);
}

/* The stored next seed takes the old one's place; no ticket of the old key goes with it. */
static meshping_status take_next(meshping_session *session, const uint8_t *expected, meshping_error *err)
{
    uint8_t seed[MESHPING_KEY_LEN], public_key[MESHPING_KEY_LEN];
    server_state state = session->server;
    meshping_status status = meshping__state_next_load(seed, session->state_dir, err);
    if (status == MESHPING_OK && meshping_identity_public(public_key, seed) != MESHPING_OK)
        status = meshping_error_set(err, MESHPING_CRYPTO, "the new key is of no use");
    if (status == MESHPING_OK && expected && memcmp(public_key, expected, sizeof public_key) != 0)
        status = meshping_error_set(err, MESHPING_PROTOCOL, "the server has another new key than this agent");
    /* in this order: cut short in between, the old key without a ticket is refused by name, and this is done again */
    state.has_ticket = false;
    if (status == MESHPING_OK)
        status = meshping__state_server_save(&state, session->state_dir, err);
    if (status == MESHPING_OK)
        session->server = state;
    if (status == MESHPING_OK)
        status = meshping__state_next_take(session->state_dir, err);
    if (status == MESHPING_OK) {
        memcpy(session->seed, seed, sizeof seed);
        memcpy(session->public_key, public_key, sizeof public_key);
        meshping_identity_fingerprint(session->fingerprint, public_key);
    }
    OPENSSL_cleanse(seed, sizeof seed);
    return status;
}

static void tell_new(meshping_session *session)
{
    char message[MESHPING_FINGERPRINT_MAX + 64];
    snprintf(message, sizeof message, "this agent has a new key; its fingerprint is %s", session->fingerprint);
    meshping__session_tell(session, message);
}

void meshping__rekey_done(meshping_session *session, const meshping_rekeyed *rekeyed)
{
    meshping_error err = {0};
    if (take_next(session, rekeyed->public_key, &err) == MESHPING_OK)
        tell_new(session);
    else
        meshping__link_drop(session, err.message);
}

bool meshping__rekey_refused(meshping_session *session)
{
    if (take_next(session, NULL, NULL) != MESHPING_OK)
        return false;
    tell_new(session);
    return true;
}
