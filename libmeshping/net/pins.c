/* SPDX-License-Identifier: Apache-2.0 */
/* By which keys the server is known, and what becomes of that when they change: docs/PROTOCOL.md, The server's key. */
#include "net/internal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

static bool same(const uint8_t a[MESHPING_PIN_LEN], const uint8_t b[MESHPING_PIN_LEN])
{
    return CRYPTO_memcmp(a, b, MESHPING_PIN_LEN) == 0;
}

bool meshping__pins_match(meshping_session *session, const uint8_t pin[MESHPING_PIN_LEN])
{
    const meshping_pins *pins = &session->server.pins;
    if (same(pins->pin, pin))
        return true;
    if (!meshping_pins_have_next(pins) || !same(pins->next, pin))
        return false;
    meshping__session_tell(session, "the server has taken its next key into use, as it had said");
    return true;
}

bool meshping__pins_are_of(const server_state *state, const uint8_t passphrase_pin[MESHPING_PIN_LEN])
{
    return same(state->passphrase_pin, passphrase_pin) || same(state->pins.pin, passphrase_pin) ||
           (meshping_pins_have_next(&state->pins) && same(state->pins.next, passphrase_pin));
}

void meshping__pins_told(meshping_session *session, const meshping_pins *pins)
{
    meshping_message reply = {.event = MESHPING_EVENT_PIN_STORED, .u.pins = *pins};
    char message[MESHPING_ERROR_MESSAGE_MAX + 64];
    meshping_error err = {0};
    server_state state = session->server;
    state.pins = *pins;
    if (meshping__state_server_save(&state, session->state_dir, &err) != MESHPING_OK) {
        /* not answered: the server knows that this agent is not ready, and says it again on the next connection */
        snprintf(message, sizeof message, "the server's next key cannot be stored: %s", err.message);
        meshping__session_tell(session, message);
        return;
    }
    session->server = state;
    meshping__session_tell(session, meshping_pins_have_next(pins)
                                        ? "the server is going to change its key: the next one is stored"
                                        : "the server is known by one key, which is stored");
    meshping__link_send(session, &reply);
}

void meshping__pins_recognise(meshping_session *session, uint64_t server_id)
{
    server_state former = session->former;
    session->former = (server_state){0};
    if (session->server.enrolled || !former.enrolled || former.server_id != server_id)
        return;
    session->server.enrolled = true;
    session->server.has_ticket = former.has_ticket;
    memcpy(session->server.ticket, former.ticket, sizeof former.ticket);
    session->server_unsaved = true;
}
