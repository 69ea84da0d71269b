/* SPDX-License-Identifier: Apache-2.0 */
/* When the server is tried again, and at which of its addresses: docs/PROTOCOL.md, Trying again. */
#include "net/internal.h"

#define MS_NS INT64_C(1000000)
#define FIRST_MS 1000
#define REFUSED_RETRY_MS 30000
#define ASKED_S_MAX 86400

/* [0, span], of which every agent draws its own. */
static int64_t draw_ms(uint32_t span_ms)
{
    uint32_t jitter = 0;
    meshping__random(&jitter, sizeof jitter);
    return (int64_t)(jitter % ((uint64_t)span_ms + 1));
}

/* What the server asked for, a day at most. */
static uint32_t asked_ms(const meshping_session *session)
{
    return (session->retry_s < ASKED_S_MAX ? session->retry_s : ASKED_S_MAX) * 1000;
}

static uint32_t first_span_ms(const meshping_session *session)
{
    return asked_ms(session) > FIRST_MS ? asked_ms(session) : FIRST_MS;
}

int64_t meshping__retry_after_loss(meshping_session *session, bool refused)
{
    uint32_t most_ms = session->options.backoff_max_ms, own_ms = session->backoff_ms ? session->backoff_ms : FIRST_MS;
    if (own_ms > most_ms)
        own_ms = most_ms;
    session->backoff_ms = own_ms < most_ms / 2 ? own_ms * 2 : most_ms;
    /* what the server asks for is wide enough already: doubled, whoever came a moment too early would be the last */
    uint32_t span_ms = asked_ms(session) > own_ms ? asked_ms(session) : own_ms;
    int64_t floor_ms = refused ? REFUSED_RETRY_MS : 0, delay_ms = floor_ms + draw_ms(span_ms);
    session->retry_floor_ns = session->now.mono_ns + floor_ms * MS_NS;
    session->connect_at_ns = session->now.mono_ns + delay_ms * MS_NS;
    return delay_ms;
}

void meshping__retry_network_back(meshping_session *session)
{
    int64_t now_ns = session->now.mono_ns, span_ns = first_span_ms(session) * MS_NS;
    session->backoff_ms = 0;
    if (session->connect_at_ns == INT64_MAX || now_ns < session->hurry_until_ns)
        return; /* one draw for what comes together, or it would be the least of many */
    session->hurry_until_ns = now_ns + span_ns;
    int64_t from_ns = now_ns > session->retry_floor_ns ? now_ns : session->retry_floor_ns;
    int64_t at_ns = from_ns + draw_ms(first_span_ms(session)) * MS_NS;
    if (at_ns >= session->connect_at_ns)
        return;
    session->connect_at_ns = at_ns;
    meshping__session_tell(session, "the network may be back: the server is tried at once");
}

const meshping_address *meshping__retry_address(const meshping_address *addresses, size_t count, uint8_t family,
                                                uint32_t failures)
{
    bool keeps = failures < MESHPING__FAMILY_FAILURES;
    size_t of_family = 0, seen = 0;
    if (!count)
        return NULL;
    for (size_t i = 0; i < count; i++)
        of_family += addresses[i].family == family;
    if (!of_family || of_family == count)
        return &addresses[failures % count];
    /* the family that was good, its addresses in turn; after some failures the others first */
    size_t group = keeps ? of_family : count;
    size_t wanted = (keeps ? failures : failures - MESHPING__FAMILY_FAILURES) % group;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++)
            if ((addresses[i].family == family) == (keeps ? pass == 0 : pass == 1) && seen++ == wanted)
                return &addresses[i];
    return &addresses[0];
}
