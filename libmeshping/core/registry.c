/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/registry.h>

#include "core/address.h"
#include "core/crypto.h"
#include "core/target.h"
#include <meshping/cidr.h>
#include <openssl/crypto.h>
#include <string.h>

#define STATE_COUNT 4
#define ACTION_COUNT 6
#define SERIAL_LEN 8
#define NO (-1)
#define P MESHPING_AGENT_PENDING
#define A MESHPING_AGENT_APPROVED
#define H MESHPING_AGENT_HOLD
#define B MESHPING_AGENT_BLACKLISTED

/*
 * docs/PROTOCOL.md, States. Rows: the state now; columns: APPROVE, REJECT, SET_HOLD, ADDRESS_CHANGED, COPY_FOUND,
 * REINSTATE.
 */
static const signed char transitions[STATE_COUNT][ACTION_COUNT] = {
    [P] = {A, B, NO, P, P, NO},
    [A] = {NO, B, H, H, H, NO},
    [H] = {A, B, NO, H, H, NO},
    [B] = {NO, NO, NO, B, B, P},
};

static const char *const state_names[STATE_COUNT] = {
#define XX(value, name, text) [value] = text,
    MESHPING_AGENT_STATE_MAP(XX)
#undef XX
};

const char *meshping_agent_state_name(unsigned state)
{
    return state < STATE_COUNT ? state_names[state] : "unknown";
}

meshping_status meshping_agent_state_parse(meshping_agent_state *out, const char *name)
{
    for (unsigned i = 0; i < STATE_COUNT; i++)
        if (strcmp(name, state_names[i]) == 0) {
            *out = (meshping_agent_state)i;
            return MESHPING_OK;
        }
    return MESHPING_INVALID;
}

const char *meshping_agent_action_name(unsigned action)
{
    switch (action) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_ACTION_##name:                                                                                       \
        return text;
        MESHPING_AGENT_ACTION_MAP(XX)
#undef XX
    }
    return "unknown";
}

meshping_status meshping_agent_state_next(meshping_agent_state *out, meshping_agent_state state,
                                          meshping_agent_action action)
{
    if ((unsigned)state >= STATE_COUNT || (unsigned)action >= ACTION_COUNT)
        return MESHPING_INVALID;
    signed char next = transitions[state][action];
    if (next == NO)
        return MESHPING_STATE;
    *out = (meshping_agent_state)next;
    return MESHPING_OK;
}

/* ---- join tickets ---- */

static meshping_status ticket_mac(uint8_t mac[32], const uint8_t ticket_key[MESHPING_TICKET_KEY_LEN],
                                  const uint8_t public_key[32], const uint8_t serial[SERIAL_LEN])
{
    static const char label[] = "meshping/1 ticket";
    uint8_t data[sizeof label - 1 + 32 + SERIAL_LEN];
    memcpy(data, label, sizeof label - 1);
    memcpy(data + sizeof label - 1, public_key, 32);
    memcpy(data + sizeof label - 1 + 32, serial, SERIAL_LEN);
    return meshping__hmac_sha256(mac, ticket_key, MESHPING_TICKET_KEY_LEN, data, sizeof data);
}

meshping_status meshping_ticket_make(uint8_t ticket[MESHPING_TICKET_LEN],
                                     const uint8_t ticket_key[MESHPING_TICKET_KEY_LEN], const uint8_t public_key[32],
                                     uint64_t serial)
{
    for (int i = 0; i < SERIAL_LEN; i++)
        ticket[i] = (uint8_t)(serial >> (56 - 8 * i));
    return ticket_mac(ticket + SERIAL_LEN, ticket_key, public_key, ticket);
}

meshping_status meshping_ticket_open(uint64_t *serial, const uint8_t ticket[MESHPING_TICKET_LEN],
                                     const uint8_t ticket_key[MESHPING_TICKET_KEY_LEN], const uint8_t public_key[32])
{
    uint8_t mac[32];
    meshping_status status = ticket_mac(mac, ticket_key, public_key, ticket);
    if (status == MESHPING_OK && CRYPTO_memcmp(mac, ticket + SERIAL_LEN, sizeof mac) != 0)
        status = MESHPING_CRYPTO;
    if (status != MESHPING_OK)
        return status;
    *serial = 0;
    for (int i = 0; i < SERIAL_LEN; i++)
        *serial = *serial << 8 | ticket[i];
    return MESHPING_OK;
}

uint64_t meshping_ticket_next(uint64_t last, uint64_t presented, int64_t unix_us)
{
    uint64_t next = (last > presented ? last : presented) + 1;
    return unix_us > 0 && (uint64_t)unix_us > next ? (uint64_t)unix_us : next;
}

/* ---- who is let in ---- */

const char *meshping_entry_name(unsigned entry)
{
    switch (entry) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_ENTRY_##name:                                                                                        \
        return text;
        MESHPING_ENTRY_MAP(XX)
#undef XX
    }
    return "unknown";
}

static void admit_stranger(meshping_admission *out, const meshping_arrival *arrival)
{
    bool ours = !arrival->ticket_bad && arrival->presented;
    *out = (meshping_admission){.entry = MESHPING_ENTRY_UNKNOWN_KEY, .state = MESHPING_AGENT_PENDING};
    if (ours) {
        out->entry = MESHPING_ENTRY_KNOWN_BEFORE;
        out->confirmed = arrival->presented;
        out->restored = true;
    } else if (arrival->enrol) {
        out->entry = MESHPING_ENTRY_NEW;
    }
}

/* Sets entry and state by an action of the table; one that is not possible, or changes nothing, leaves both. */
static void move(meshping_admission *out, meshping_agent_action action, meshping_entry entry)
{
    meshping_agent_state next = out->state;
    (void)meshping_agent_state_next(&next, out->state, action); /* what is not possible changes nothing */
    if (next == out->state)
        return;
    out->state = next;
    out->entry = entry;
}

void meshping_registry_admit(meshping_admission *out, const meshping_arrival *arrival)
{
    uint64_t serial = arrival->presented;
    if (arrival->rekeyed) {
        *out = (meshping_admission){.entry = MESHPING_ENTRY_REKEYED};
        return;
    }
    if (!arrival->known) {
        admit_stranger(out, arrival);
        return;
    }
    *out = (meshping_admission){.state = arrival->state, .confirmed = arrival->confirmed};
    if (arrival->ticket_bad) {
        out->entry = MESHPING_ENTRY_BAD_TICKET;
        return;
    }
    /* no ticket is serial 0, which is good until the first one is confirmed */
    out->ticket_good = serial == arrival->confirmed || serial >= arrival->issued;
    out->restored = serial > arrival->issued;
    if (out->ticket_good)
        out->confirmed = serial;
    else
        move(out, MESHPING_ACTION_COPY_FOUND, MESHPING_ENTRY_COPY);
    if (out->entry == MESHPING_ENTRY_ADMITTED && !arrival->address_approved)
        move(out, MESHPING_ACTION_ADDRESS_CHANGED, MESHPING_ENTRY_MOVED);
}

/* ---- addresses ---- */

bool meshping_registry_address_ok(const char *approved, const char *observed)
{
    meshping_cidr_list list;
    meshping_address address;
    return meshping_cidr_list_parse(&list, approved, NULL) == MESHPING_OK &&
           meshping_address_parse(&address, observed, NULL) == MESHPING_OK &&
           meshping_cidr_list_contains(&list, &address);
}

static meshping_status put_addresses(char *out, const meshping_cidr_list *list, meshping_error *err)
{
    char text[MESHPING_AGENT_ADDRESSES_MAX];
    meshping_status status = meshping_cidr_list_format(list, text, sizeof text, err);
    if (status == MESHPING_OK)
        memcpy(out, text, sizeof text);
    return status;
}

meshping_status meshping_registry_offer(char *out, const char *approved, const char *observed, meshping_error *err)
{
    meshping_cidr_list before, list = {0};
    meshping_address address;
    meshping_status status = meshping_address_parse(&address, observed, err);
    if (status == MESHPING_OK)
        status = meshping_cidr_list_parse(&before, approved, err);
    if (status != MESHPING_OK)
        return status;
    meshping_cidr_of_peer(&list.items[list.count++], &address);
    for (size_t i = 0; i < before.count && list.count < MESHPING_CIDR_LIST_MAX; i++)
        if (before.items[i].family != list.items[0].family)
            list.items[list.count++] = before.items[i];
    return put_addresses(out, &list, err);
}

meshping_status meshping_registry_addresses(char *out, const char *text, meshping_error *err)
{
    meshping_cidr_list list;
    meshping_status status = meshping_cidr_list_parse(&list, text, err);
    if (status != MESHPING_OK)
        return status;
    if (!list.count)
        return meshping_error_set(err, MESHPING_INVALID, "no address would be approved");
    return put_addresses(out, &list, err);
}

bool meshping_registry_lapsed(meshping_agent_state state, int64_t last_seen_ms, int64_t now_ms)
{
    return state == MESHPING_AGENT_PENDING && now_ms - last_seen_ms > MESHPING_PENDING_LAPSE_MS;
}

bool meshping_registry_may_succeed(meshping_agent_state successor, meshping_agent_state predecessor)
{
    return successor == MESHPING_AGENT_PENDING && predecessor != MESHPING_AGENT_PENDING;
}

static bool is_wide(const meshping_address *address)
{
    bool link_local = address->family == MESHPING_FAMILY_IPV4
                          ? address->bytes[0] == 169 && address->bytes[1] == 254
                          : address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
    return !link_local && !meshping_address_is_loopback(address);
}

bool meshping_registry_mesh_address(char *out, const char *advertised, const char *observed)
{
    meshping_address from, address;
    bool known = meshping_address_parse(&from, observed, NULL) == MESHPING_OK && !meshping__not_a_hosts(&from);
    out[0] = 0;
    /* loopback is the machine of whoever pings, unless all are on the server's */
    if (meshping_address_parse(&address, advertised, NULL) == MESHPING_OK && !meshping__not_a_hosts(&address) &&
        !meshping__needs_zone(&address) &&
        (!meshping_address_is_loopback(&address) || (known && meshping_address_is_loopback(&from))))
        meshping_address_format(&address, out);
    else if (known && is_wide(&from))
        meshping_address_format(&from, out);
    return out[0] != 0;
}
