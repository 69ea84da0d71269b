/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"
#include <meshping/registry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const meshping_agent_state states[] = {MESHPING_AGENT_PENDING, MESHPING_AGENT_APPROVED, MESHPING_AGENT_HOLD,
                                              MESHPING_AGENT_BLACKLISTED};
static const meshping_agent_action actions[] = {MESHPING_ACTION_APPROVE,    MESHPING_ACTION_REJECT,
                                                MESHPING_ACTION_SET_HOLD,   MESHPING_ACTION_ADDRESS_CHANGED,
                                                MESHPING_ACTION_COPY_FOUND, MESHPING_ACTION_REINSTATE};
#define STATES (sizeof states / sizeof *states)
#define ACTIONS (sizeof actions / sizeof *actions)

static void assert_moves(meshping_agent_state from, meshping_agent_action action, const char *to)
{
    meshping_agent_state next = (meshping_agent_state)77;
    meshping_status status = meshping_agent_state_next(&next, from, action);
    const char *got = status == MESHPING_OK ? meshping_agent_state_name(next) : "-";
    if (strcmp(got, to) != 0)
        fail_msg("%s, %s: %s, not %s", meshping_agent_state_name(from), meshping_agent_action_name(action), got, to);
    if (status != MESHPING_OK) {
        assert_int_equal(status, MESHPING_STATE);
        assert_int_equal(next, 77); /* untouched */
    }
}

static void test_every_action_in_every_state(void **unused)
{
    (void)unused;
    static const char *const table[STATES][ACTIONS] = {
        /*               approve     reject         hold    address_changed copy_found reinstate */
        /* pending */ {"approved", "blacklisted", "-", "pending", "pending", "-"},
        /* approved */ {"-", "blacklisted", "hold", "hold", "hold", "-"},
        /* hold */ {"approved", "blacklisted", "-", "hold", "hold", "-"},
        /* blacklisted */ {"-", "-", "-", "blacklisted", "blacklisted", "pending"},
    };
    for (size_t s = 0; s < STATES; s++)
        for (size_t a = 0; a < ACTIONS; a++)
            assert_moves(states[s], actions[a], table[s][a]);
}

/* The table of docs/PROTOCOL.md, States: its head names the actions, each row a state. */
static void test_the_document_has_the_same_table(void **unused)
{
    (void)unused;
    char *document = document_read("docs/PROTOCOL.md");
    assert_non_null(document);
    char *head = strstr(document, "| state | approve | reject | hold | address_changed | copy_found | reinstate |\n");
    assert_non_null(head);
    char *save = NULL, *line;
    assert_non_null(strtok_r(strchr(head, '\n') + 1, "\n", &save)); /* | --- | --- |... */
    for (size_t s = 0; s < 4; s++) {
        char cells[7][32];
        line = strtok_r(NULL, "\n", &save);
        assert_non_null(line);
        assert_int_equal(sscanf(line, "| %31s | %31s | %31s | %31s | %31s | %31s | %31s |", cells[0], cells[1],
                                cells[2], cells[3], cells[4], cells[5], cells[6]),
                         7);
        assert_string_equal(cells[0], meshping_agent_state_name(states[s]));
        for (size_t a = 0; a < ACTIONS; a++)
            assert_moves(states[s], actions[a], cells[a + 1]);
    }
    free(document);
}

static void test_only_an_administrator_brings_a_blacklisted_agent_back(void **unused)
{
    (void)unused;
    meshping_agent_state state = MESHPING_AGENT_BLACKLISTED;
    assert_int_equal(meshping_agent_state_next(&state, state, MESHPING_ACTION_APPROVE), MESHPING_STATE);
    assert_int_equal(meshping_agent_state_next(&state, state, MESHPING_ACTION_ADDRESS_CHANGED), MESHPING_OK);
    assert_int_equal(state, MESHPING_AGENT_BLACKLISTED);
    assert_int_equal(meshping_agent_state_next(&state, state, MESHPING_ACTION_REINSTATE), MESHPING_OK);
    assert_int_equal(state, MESHPING_AGENT_PENDING); /* and must be approved anew */
}

static void test_names_are_read_back(void **unused)
{
    (void)unused;
    for (size_t s = 0; s < 4; s++) {
        meshping_agent_state state = (meshping_agent_state)77;
        assert_int_equal(meshping_agent_state_parse(&state, meshping_agent_state_name(states[s])), MESHPING_OK);
        assert_int_equal(state, states[s]);
    }
    meshping_agent_state state = MESHPING_AGENT_HOLD;
    static const char *const wrong[] = {"", "Approved", "approved ", "approve", "unknown"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(meshping_agent_state_parse(&state, wrong[i]), MESHPING_INVALID);
        assert_int_equal(state, MESHPING_AGENT_HOLD);
    }
}

static void test_numbers_outside_the_lists_are_harmless(void **unused)
{
    (void)unused;
    meshping_agent_state state = MESHPING_AGENT_HOLD;
    assert_string_equal(meshping_agent_state_name(4), "unknown");
    assert_string_equal(meshping_agent_state_name(UINT32_MAX), "unknown");
    assert_string_equal(meshping_agent_action_name(6), "unknown");
    assert_int_equal(meshping_agent_state_next(&state, (meshping_agent_state)4, MESHPING_ACTION_REJECT),
                     MESHPING_INVALID);
    assert_int_equal(meshping_agent_state_next(&state, MESHPING_AGENT_PENDING, (meshping_agent_action)6),
                     MESHPING_INVALID);
    assert_int_equal(state, MESHPING_AGENT_HOLD);
}

/* ---- join tickets ---- */

static const uint8_t agent_key[32] = {0x29, 0xac, 0xba, 0xe1, 0x41, 0xbc, 0xca, 0xf0, 0xb2, 0x2e, 0x1a,
                                      0x94, 0xd3, 0x4d, 0x0b, 0xc7, 0x36, 0x1e, 0x52, 0x6d, 0x0b, 0xfe,
                                      0x12, 0xc8, 0x97, 0x94, 0xbc, 0x93, 0x22, 0x96, 0x6d, 0xd7};
#define VECTOR "00060a24181e4000df699289903d96617fd00b7f8ea7fe7e87957516653f2cb25e5996d3e6342c7e"

static void test_a_ticket_is_what_the_document_says(void **unused)
{
    (void)unused;
    uint8_t ticket_key[MESHPING_TICKET_KEY_LEN], ticket[MESHPING_TICKET_LEN];
    char hex[2 * MESHPING_TICKET_LEN + 1];
    uint64_t serial = 0;
    for (size_t i = 0; i < sizeof ticket_key; i++)
        ticket_key[i] = (uint8_t)(0xc0 + i);
    assert_int_equal(meshping_ticket_make(ticket, ticket_key, agent_key, UINT64_C(1700000000000000)), MESHPING_OK);
    for (size_t i = 0; i < sizeof ticket; i++)
        snprintf(hex + 2 * i, 3, "%02x", ticket[i]);
    assert_string_equal(hex, VECTOR);
    assert_int_equal(meshping_ticket_open(&serial, ticket, ticket_key, agent_key), MESHPING_OK);
    assert_int_equal(serial, UINT64_C(1700000000000000));
    char *document = document_read("docs/PROTOCOL.md");
    assert_non_null(document);
    assert_true(document_has(document, VECTOR));
    free(document);
}

static void test_a_ticket_with_any_changed_bit_is_refused(void **unused)
{
    (void)unused;
    uint8_t ticket_key[MESHPING_TICKET_KEY_LEN] = {1}, other_key[MESHPING_TICKET_KEY_LEN] = {2}, other_agent[32];
    uint8_t ticket[MESHPING_TICKET_LEN];
    uint64_t serial = 77;
    memcpy(other_agent, agent_key, sizeof other_agent);
    other_agent[31] ^= 1;
    assert_int_equal(meshping_ticket_make(ticket, ticket_key, agent_key, 5), MESHPING_OK);
    for (size_t bit = 0; bit < sizeof ticket * 8; bit++) {
        ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(meshping_ticket_open(&serial, ticket, ticket_key, agent_key), MESHPING_CRYPTO);
        ticket[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(meshping_ticket_open(&serial, ticket, other_key, agent_key), MESHPING_CRYPTO);
    assert_int_equal(meshping_ticket_open(&serial, ticket, ticket_key, other_agent), MESHPING_CRYPTO);
    assert_int_equal(serial, 77); /* untouched */
    assert_int_equal(meshping_ticket_open(&serial, ticket, ticket_key, agent_key), MESHPING_OK);
    assert_int_equal(serial, 5);
}

static void test_a_new_serial_is_above_all_that_were_seen(void **unused)
{
    (void)unused;
    assert_int_equal(meshping_ticket_next(0, 0, 1700), 1700);
    assert_int_equal(meshping_ticket_next(1699, 0, 1700), 1700);
    assert_int_equal(meshping_ticket_next(1700, 0, 1700), 1701);
    assert_int_equal(meshping_ticket_next(9000, 8000, 1700), 9001);
    assert_int_equal(meshping_ticket_next(8000, 9000, 1700), 9001); /* the database is older than the agent */
    assert_int_equal(meshping_ticket_next(0, 0, 0), 1);
    assert_int_equal(meshping_ticket_next(4, 5, -1700), 6); /* a clock before 1970 */
}

/* ---- who is let in ---- */

#define ISSUED 30
#define CONFIRMED 20

typedef struct admission_case {
    const char *known; /* its state; NULL: an unknown key */
    bool enrol;
    uint64_t issued, confirmed;
    int64_t presented; /* -1: a bad ticket */
    bool address_approved;
    const char *entry, *state;
    uint64_t confirmed_after;
    bool ticket_good, restored;
} admission_case;

static const admission_case admissions[] = {
    /* strangers */
    {NULL, true, 0, 0, 0, false, "new", "pending", 0, false, false},
    {NULL, false, 0, 0, 0, false, "unknown_key", NULL, 0, false, false},
    {NULL, false, 0, 0, -1, false, "unknown_key", NULL, 0, false, false},
    {NULL, false, 0, 0, 40, false, "known_before", "pending", 40, false, true},
    {NULL, true, 0, 0, 40, false, "known_before", "pending", 40, false, true},
    /* tickets of an approved agent */
    {"approved", false, 0, 0, 0, true, "admitted", "approved", 0, true, false},
    {"approved", false, ISSUED, 0, 0, true, "admitted", "approved", 0, true, false}, /* it never got the first */
    {"approved", false, ISSUED, CONFIRMED, CONFIRMED, true, "admitted", "approved", CONFIRMED, true, false},
    {"approved", false, ISSUED, CONFIRMED, ISSUED, true, "admitted", "approved", ISSUED, true, false},
    {"approved", false, ISSUED, CONFIRMED, ISSUED + 1, true, "admitted", "approved", ISSUED + 1, true, true},
    {"approved", false, 0, 0, 1, true, "admitted", "approved", 1, true, true},
    {"approved", false, ISSUED, CONFIRMED, CONFIRMED - 1, true, "copy", "hold", CONFIRMED, false, false},
    {"approved", false, ISSUED, CONFIRMED, CONFIRMED + 1, true, "copy", "hold", CONFIRMED, false, false},
    {"approved", false, ISSUED, CONFIRMED, ISSUED - 1, true, "copy", "hold", CONFIRMED, false, false},
    {"approved", false, ISSUED, CONFIRMED, 0, true, "copy", "hold", CONFIRMED, false, false},
    {"approved", true, ISSUED, CONFIRMED, 0, true, "copy", "hold", CONFIRMED, false, false}, /* key and passphrase */
    {"approved", true, 0, 0, 0, true, "admitted", "approved", 0, true, false},
    {"approved", false, ISSUED, CONFIRMED, -1, true, "bad_ticket", "approved", CONFIRMED, false, false},
    /* addresses */
    {"approved", false, ISSUED, CONFIRMED, ISSUED, false, "moved", "hold", ISSUED, true, false},
    {"approved", false, ISSUED, CONFIRMED, ISSUED + 1, false, "moved", "hold", ISSUED + 1, true, true},
    {"approved", false, ISSUED, CONFIRMED, 1, false, "copy", "hold", CONFIRMED, false, false},
    /* the other states stay what they are */
    {"hold", false, ISSUED, CONFIRMED, ISSUED, true, "admitted", "hold", ISSUED, true, false},
    {"hold", false, ISSUED, CONFIRMED, ISSUED, false, "admitted", "hold", ISSUED, true, false},
    {"hold", false, ISSUED, CONFIRMED, 1, true, "admitted", "hold", CONFIRMED, false, false},
    {"hold", false, ISSUED, CONFIRMED, ISSUED + 9, true, "admitted", "hold", ISSUED + 9, true, true},
    {"hold", false, ISSUED, CONFIRMED, -1, true, "bad_ticket", "hold", CONFIRMED, false, false},
    {"pending", true, 0, 0, 0, false, "admitted", "pending", 0, true, false},
    {"pending", false, 0, 0, 0, false, "admitted", "pending", 0, true, false},
    {"pending", false, ISSUED, CONFIRMED, 1, false, "admitted", "pending", CONFIRMED, false, false},
    {"pending", false, 0, 0, -1, false, "bad_ticket", "pending", 0, false, false},
    {"blacklisted", false, ISSUED, CONFIRMED, ISSUED, true, "admitted", "blacklisted", ISSUED, true, false},
    {"blacklisted", true, ISSUED, CONFIRMED, 0, true, "admitted", "blacklisted", CONFIRMED, false, false},
    {"blacklisted", false, ISSUED, CONFIRMED, 1, false, "admitted", "blacklisted", CONFIRMED, false, false},
};

static void test_every_arrival_ends_as_the_table_says(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof admissions / sizeof *admissions; i++) {
        const admission_case *k = &admissions[i];
        meshping_arrival arrival = {.known = k->known != NULL,
                                    .enrol = k->enrol,
                                    .issued = k->issued,
                                    .confirmed = k->confirmed,
                                    .ticket_bad = k->presented < 0,
                                    .presented = k->presented < 0 ? 0 : (uint64_t)k->presented,
                                    .address_approved = k->address_approved};
        meshping_admission out;
        if (k->known)
            assert_int_equal(meshping_agent_state_parse(&arrival.state, k->known), MESHPING_OK);
        meshping_registry_admit(&out, &arrival);
        if (strcmp(meshping_entry_name(out.entry), k->entry) != 0 ||
            (k->state && strcmp(meshping_agent_state_name(out.state), k->state) != 0) ||
            out.confirmed != k->confirmed_after || out.ticket_good != k->ticket_good || out.restored != k->restored)
            fail_msg("case %zu: %s, %s, confirmed %llu, ticket %d, restored %d", i, meshping_entry_name(out.entry),
                     meshping_agent_state_name(out.state), (unsigned long long)out.confirmed, out.ticket_good,
                     out.restored);
    }
    assert_string_equal(meshping_entry_name(8), "unknown");
}

/* Known or not, with a good ticket, a passphrase or nothing. */
static void test_a_key_that_was_replaced_is_refused_whatever_it_shows(void **unused)
{
    (void)unused;
    for (unsigned bits = 0; bits < 16; bits++) {
        meshping_arrival arrival = {.rekeyed = true,
                                    .known = bits & 1,
                                    .state = MESHPING_AGENT_APPROVED,
                                    .issued = 20,
                                    .confirmed = 20,
                                    .enrol = bits & 2,
                                    .presented = bits & 4 ? 20 : 0,
                                    .address_approved = bits & 8};
        meshping_admission out;
        meshping_registry_admit(&out, &arrival);
        assert_int_equal(out.entry, MESHPING_ENTRY_REKEYED);
        assert_false(out.ticket_good || out.restored);
    }
    assert_string_equal(meshping_entry_name(MESHPING_ENTRY_REKEYED), "rekeyed");
}

/* Two processes with copies of one state directory: whichever comes second is found out, then the first as well. */
static void test_a_copied_state_is_found_out(void **unused)
{
    (void)unused;
    for (int copy_first = 0; copy_first < 2; copy_first++) {
        uint64_t held[2] = {20, 20}; /* the ticket that each of them has */
        meshping_arrival arrival = {
            .known = true, .state = MESHPING_AGENT_APPROVED, .issued = 20, .confirmed = 20, .address_approved = true};
        meshping_admission out;
        int first = copy_first, second = !copy_first;
        arrival.presented = held[first];
        meshping_registry_admit(&out, &arrival);
        assert_int_equal(out.state, MESHPING_AGENT_APPROVED);
        held[first] = meshping_ticket_next(arrival.issued, arrival.presented, 0);
        arrival.issued = held[first];
        arrival.confirmed = held[first]; /* it said joined */
        arrival.presented = held[second];
        meshping_registry_admit(&out, &arrival);
        assert_int_equal(out.entry, MESHPING_ENTRY_COPY);
        assert_int_equal(out.state, MESHPING_AGENT_HOLD);
        assert_false(out.ticket_good);
    }
}

/* ---- addresses, time, successors ---- */

static void test_an_address_is_looked_up_in_the_approved_set(void **unused)
{
    (void)unused;
    assert_true(meshping_registry_address_ok("192.0.2.1", "192.0.2.1"));
    assert_true(meshping_registry_address_ok("192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(meshping_registry_address_ok("192.0.2.1", "192.0.2.2"));
    assert_true(meshping_registry_address_ok("2001:db8::/64, 192.0.2.1", "2001:db8::9"));
    assert_false(meshping_registry_address_ok("2001:db8::/64", "2001:db8:0:1::9"));
    assert_false(meshping_registry_address_ok("", "192.0.2.1"));
    assert_false(meshping_registry_address_ok("192.0.2.1", "?"));
    assert_false(meshping_registry_address_ok("nonsense", "192.0.2.1"));
}

static void test_approval_offers_one_range_a_family(void **unused)
{
    (void)unused;
    static const char *const cases[][3] = {
        {"", "192.0.2.1", "192.0.2.1"},
        {"", "::ffff:192.0.2.1", "192.0.2.1"},
        {"", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"", "64:ff9b::c000:201", "64:ff9b::c000:201"}, /* its /64 would be all of IPv4 */
        {"", "fe80::1", "fe80::1"},                     /* and this one's the whole link */
        {"192.0.2.0/24, 2001:db8::/32", "198.51.100.7", "198.51.100.7, 2001:db8::/32"},
        {"192.0.2.0/24, 2001:db8::/32", "2001:db9::1", "2001:db9::/64, 192.0.2.0/24"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[MESHPING_AGENT_ADDRESSES_MAX] = "untouched";
        assert_int_equal(meshping_registry_offer(out, cases[i][0], cases[i][1], NULL), MESHPING_OK);
        assert_string_equal(out, cases[i][2]);
    }
    char out[MESHPING_AGENT_ADDRESSES_MAX] = "192.0.2.7";
    assert_int_equal(meshping_registry_offer(out, out, "192.0.2.8", NULL), MESHPING_OK); /* in place */
    assert_string_equal(out, "192.0.2.8");
    assert_int_equal(meshping_registry_offer(out, "nonsense", "192.0.2.9", NULL), MESHPING_INVALID);
    assert_int_equal(meshping_registry_offer(out, "", "?", NULL), MESHPING_INVALID);
    assert_string_equal(out, "192.0.2.8");
}

static void test_what_an_administrator_types_becomes_canonical_or_is_refused(void **unused)
{
    (void)unused;
    char out[MESHPING_AGENT_ADDRESSES_MAX] = "untouched", most[4096] = "";
    meshping_error err = {0};
    assert_int_equal(meshping_registry_addresses(out, " 10.0.0.0/8,2001:DB8:0::/32  ::ffff:192.0.2.1", NULL),
                     MESHPING_OK);
    assert_string_equal(out, "10.0.0.0/8, 2001:db8::/32, 192.0.2.1");
    static const char *const wrong[] = {"", " , ", "10.0.0.1/8", "10.0.0.0/33", "host.example", "10.0.0.0/8; 1.2.3.4"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(meshping_registry_addresses(out, wrong[i], &err), MESHPING_INVALID);
    for (int i = 0; i < 64; i++)
        snprintf(most + strlen(most), sizeof most - strlen(most), "2001:db8:1111:2222:3333:4444:5555:%x,", i + 4096);
    assert_int_equal(meshping_registry_addresses(out, most, &err), MESHPING_LIMIT); /* too long together */
    snprintf(most + strlen(most), sizeof most - strlen(most), "10.0.0.1");
    assert_int_equal(meshping_registry_addresses(out, most, &err), MESHPING_LIMIT); /* too many */
    assert_string_equal(out, "10.0.0.0/8, 2001:db8::/32, 192.0.2.1");
}

static void test_only_a_pending_agent_lapses_and_only_after_seven_days(void **unused)
{
    (void)unused;
    const int64_t seen = 1700000000000, week = INT64_C(604800000);
    assert_false(meshping_registry_lapsed(MESHPING_AGENT_PENDING, seen, seen + week));
    assert_true(meshping_registry_lapsed(MESHPING_AGENT_PENDING, seen, seen + week + 1));
    assert_false(meshping_registry_lapsed(MESHPING_AGENT_PENDING, seen, seen - week * 9)); /* the clock was set back */
    for (size_t s = 1; s < STATES; s++)
        assert_false(meshping_registry_lapsed(states[s], seen, seen + week * 100));
}

static void test_a_pending_agent_may_succeed_one_that_is_not(void **unused)
{
    (void)unused;
    for (size_t young = 0; young < STATES; young++)
        for (size_t old = 0; old < STATES; old++)
            assert_int_equal(meshping_registry_may_succeed(states[young], states[old]),
                             states[young] == MESHPING_AGENT_PENDING && states[old] != MESHPING_AGENT_PENDING);
}

static void test_a_mesh_pings_where_an_agent_says_or_where_it_comes_from(void **unused)
{
    static const struct {
        const char *advertised, *observed, *wanted;
    } cases[] = {
        {"", "198.18.0.1", "198.18.0.1"},
        {"", "::ffff:198.18.0.1", "198.18.0.1"},
        {"", "2001:DB8::1", "2001:db8::1"},
        {"192.0.2.9", "198.18.0.1", "192.0.2.9"},
        {"127.0.0.9", "127.0.0.1", "127.0.0.9"}, /* all are on one machine */
        {"::1", "127.0.0.1", "::1"},
        {"127.0.0.9", "198.18.0.1", "198.18.0.1"}, /* else each would ping itself */
        {"::ffff:127.0.0.9", "198.18.0.1", "198.18.0.1"},
        {"::1", "2001:db8::1", "2001:db8::1"},
        {"127.0.0.9", "", ""},
        {"127.0.0.9", "fe80::1", ""},
        {"", "127.0.0.1", ""}, /* of its own host alone */
        {"", "::1", ""},
        {"", "169.254.3.4", ""},
        {"", "fe80::1", ""},
        {"", "169.1.3.4", "169.1.3.4"},
        {"", "fec0::1", "fec0::1"},
        {"", "224.0.0.1", ""},
        {"224.0.0.1", "198.18.0.1", "198.18.0.1"}, /* nobody's address */
        {"0.0.0.0", "198.18.0.1", "198.18.0.1"},
        {"fe80::1", "198.18.0.1", "198.18.0.1"}, /* of which link? */
        {"host.example", "198.18.0.1", "198.18.0.1"},
        {"", "", ""},
    };
    char out[MESHPING_ADDRESS_TEXT_MAX];
    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool there = meshping_registry_mesh_address(out, cases[i].advertised, cases[i].observed);
        assert_string_equal(out, cases[i].wanted);
        assert_int_equal(there, out[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_action_in_every_state),
        cmocka_unit_test(test_the_document_has_the_same_table),
        cmocka_unit_test(test_only_an_administrator_brings_a_blacklisted_agent_back),
        cmocka_unit_test(test_names_are_read_back),
        cmocka_unit_test(test_numbers_outside_the_lists_are_harmless),
        cmocka_unit_test(test_a_ticket_is_what_the_document_says),
        cmocka_unit_test(test_a_ticket_with_any_changed_bit_is_refused),
        cmocka_unit_test(test_a_new_serial_is_above_all_that_were_seen),
        cmocka_unit_test(test_every_arrival_ends_as_the_table_says),
        cmocka_unit_test(test_a_key_that_was_replaced_is_refused_whatever_it_shows),
        cmocka_unit_test(test_a_copied_state_is_found_out),
        cmocka_unit_test(test_an_address_is_looked_up_in_the_approved_set),
        cmocka_unit_test(test_approval_offers_one_range_a_family),
        cmocka_unit_test(test_what_an_administrator_types_becomes_canonical_or_is_refused),
        cmocka_unit_test(test_only_a_pending_agent_lapses_and_only_after_seven_days),
        cmocka_unit_test(test_a_pending_agent_may_succeed_one_that_is_not),
        cmocka_unit_test(test_a_mesh_pings_where_an_agent_says_or_where_it_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
