/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the other tests of messages and of the registry leave out: optional fields that are absent, enumerations that do
 * not exist, and memory that runs out at each allocation in turn (our own, json-c's and OpenSSL's).
 */
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAILS_MEMORY 0 /* they have an allocator of their own */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FAILS_MEMORY 0
#endif
#endif
#ifndef FAILS_MEMORY
#define FAILS_MEMORY 1
#endif

static size_t countdown; /* 0: memory does not fail; else the allocation that does, from 1 */

#if FAILS_MEMORY
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
/* seen by the shared libraries too */
#define SHOWN __attribute__((visibility("default")))
SHOWN void *malloc(size_t size);
SHOWN void *calloc(size_t count, size_t size);
SHOWN void *realloc(void *memory, size_t size);

static bool fails(void)
{
    return countdown && --countdown == 0;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : __libc_realloc(memory, size);
}
#endif

static char *encode(const meshping_message *message)
{
    char *text;
    size_t length;
    meshping_error err = {0};
    if (meshping_message_encode(&text, &length, message, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return text;
}

static void assert_lacks(const meshping_message *message, const char *field)
{
    char *text = encode(message), quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\":", field);
    if (strstr(text, quoted))
        fail_msg("%s holds %s", text, field);
    meshping_message again;
    assert_int_equal(meshping_message_decode(&again, text, strlen(text), NULL), MESHPING_OK);
    assert_int_equal(again.event, message->event);
    meshping_message_dispose(&again);
    meshping_free(text);
}

static void test_what_is_not_there_is_not_written(void **unused)
{
    (void)unused;
    meshping_message status = {.event = MESHPING_EVENT_REGISTRATION_STATUS};
    assert_lacks(&status, "agent_id");
    assert_lacks(&status, "ticket");
    meshping_message ping = {.event = MESHPING_EVENT_STATUS};
    assert_lacks(&ping, "ping");
    assert_lacks(&ping, "pong");
    assert_lacks(&ping, "echo_us");
    meshping_message pins = {.event = MESHPING_EVENT_PIN_STORED};
    assert_lacks(&pins, "next");
    pins = (meshping_message){.event = MESHPING_EVENT_SERVER_MESSAGE, .type = MESHPING_SERVER_MESSAGE_PIN_CHANGE};
    assert_lacks(&pins, "next");
    meshping_message resume = {.event = MESHPING_EVENT_HANDSHAKE};
    assert_lacks(&resume, "ticket");
    assert_lacks(&resume, "tid");
}

static void test_a_message_of_no_type_is_not_written(void **unused)
{
    (void)unused;
    meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE, .type = (meshping_server_message_type)99};
    meshping_error err = {0};
    char *text;
    size_t length;
    assert_int_equal(meshping_message_encode(&text, &length, &message, &err), MESHPING_INVALID);
    assert_null(text);
    assert_non_null(strstr(err.message, "99"));
}

static void test_nothing_after_a_bad_target_is_looked_at(void **unused)
{
    (void)unused;
    static const char text[] =
        "{\"event\":\"server_message\",\"data\":{\"type\":\"update_targets\",\"revision\":1,\"part\":0,"
        "\"parts\":1,\"targets\":[{\"id\":0,\"address\":\"a\"},{\"id\":1,\"address\":\"b c\"}]}}";
    meshping_message message;
    meshping_error err = {0};
    assert_int_equal(meshping_message_decode(&message, text, sizeof text - 1, &err), MESHPING_PROTOCOL);
    assert_non_null(strstr(err.message, "\"id\""));
}

/* ---- memory that runs out ---- */

static const char update[] =
    "{\"event\":\"server_message\",\"data\":{\"type\":\"update_targets\",\"revision\":12,\"part\":0,\"parts\":1,"
    "\"targets\":[{\"id\":1,\"address\":\"192.0.2.1\",\"interval_ms\":5000,\"timeout_ms\":3000,\"size\":56,\"dscp\":0}]"
    ","
    "\"base\":11,\"removed\":[2,3]}}";

/* json-c's own among them. */
static void test_an_allocation_that_fails_costs_the_message_that_is_made_and_nothing_else(void **unused)
{
    (void)unused;
    if (!FAILS_MEMORY)
        skip();
    size_t ran_out = 0;
    for (size_t at = 1, done = 0; !done; at++) {
        meshping_message made = {.event = MESHPING_EVENT_JOINED, .u.joined.serial = 7};
        meshping_error err = {0};
        char *text;
        size_t length;
        countdown = at;
        meshping_status status = meshping_message_encode(&text, &length, &made, &err);
        done = countdown;
        countdown = 0;
        if (status == MESHPING_OK) {
            meshping_free(text);
            continue;
        }
        assert_int_equal(status, MESHPING_NOMEM);
        assert_true(!text && !length && err.message[0]);
        ran_out++;
        assert_true(at < 10000);
    }
    assert_true(ran_out >= 3);
}

static size_t own_countdown;

static void *own_malloc(size_t size)
{
    return own_countdown && --own_countdown == 0 ? NULL : malloc(size);
}

static void *own_realloc(void *memory, size_t size)
{
    return own_countdown && --own_countdown == 0 ? NULL : realloc(memory, size);
}

static const char applied[] = "{\"event\":\"targets_applied\",\"data\":{\"revision\":12,\"count\":9,"
                              "\"refused\":[{\"target\":7,\"reason\":\"no_ipv6\"}]}}";

static void assert_read_or_not(const char *text)
{
    size_t ran_out = 0;
    assert_int_equal(meshping_set_allocator(own_malloc, own_realloc, free), MESHPING_OK);
    for (size_t at = 1, done = 0; !done; at++) {
        meshping_message message;
        meshping_error err = {0};
        own_countdown = at;
        meshping_status status = meshping_message_decode(&message, text, strlen(text), &err);
        done = own_countdown;
        own_countdown = 0;
        if (status == MESHPING_OK) {
            meshping_message_dispose(&message);
            continue;
        }
        assert_int_equal(status, MESHPING_NOMEM);
        ran_out++;
    }
    meshping_set_allocator(NULL, NULL, NULL);
    assert_true(ran_out);
}

/* Our own only: json-c 0.16 does not look whether it could copy a field's name. */
static void test_an_allocation_that_fails_costs_the_message_that_is_read_and_nothing_else(void **unused)
{
    (void)unused;
    assert_read_or_not(update);
    assert_read_or_not(applied);
}

static void test_a_ticket_is_never_good_for_want_of_memory(void **unused)
{
    (void)unused;
    if (!FAILS_MEMORY)
        skip();
    uint8_t key[MESHPING_TICKET_KEY_LEN] = {1}, agent[MESHPING_KEY_LEN] = {2}, ticket[MESHPING_TICKET_LEN];
    uint64_t serial;
    assert_int_equal(meshping_ticket_make(ticket, key, agent, 5), MESHPING_OK);
    ticket[20] ^= 1;
    for (size_t at = 1, done = 0; !done; at++) {
        countdown = at;
        assert_int_equal(meshping_ticket_open(&serial, ticket, key, agent), MESHPING_CRYPTO);
        done = countdown;
        countdown = 0;
        assert_true(at < 10000);
    }
}

/* ---- the registry ---- */

static void test_every_action_has_its_name(void **unused)
{
    (void)unused;
    static const char *const names[] = {"approve",    "reject",    "hold",   "address_changed",
                                        "copy_found", "reinstate", "unknown"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(meshping_agent_action_name(i), names[i]);
}

static void test_an_offer_keeps_as_much_of_the_other_family_as_fits(void **unused)
{
    (void)unused;
    char approved[4096] = "", out[MESHPING_AGENT_ADDRESSES_MAX];
    for (int i = 0; i < 64; i++)
        snprintf(approved + strlen(approved), sizeof approved - strlen(approved), "%x::%s", i + 1, i < 63 ? ", " : "");
    assert_int_equal(meshping_registry_offer(out, approved, "192.0.2.1", NULL), MESHPING_OK);
    assert_non_null(strstr(out, "192.0.2.1, 1::, 2::"));
    assert_non_null(strstr(out, "3f::"));
    assert_null(strstr(out, "40::"));
}

static meshping_status status_with(const char *value)
{
    char text[256];
    meshping_message message;
    snprintf(text, sizeof text, "{\"event\":\"status\",\"data\":{\"time_us\":1,\"nobody asks\":%s}}", value);
    meshping_status status = meshping_message_decode(&message, text, strlen(text), NULL);
    if (status == MESHPING_OK)
        meshping_message_dispose(&message);
    return status;
}

static void test_what_is_no_json_is_refused_also_where_nobody_asks_for_it(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"NaN",      "Infinity",       "-Infinity",           "[NaN]",
                                        "\"a\nb\"", "\"\xc0\x80\"",   "\"\xed\xa0\x80\"",    "{\"\t\":1}",
                                        "\"\x01\"", "\"a\\\"b\x1f\"", "\"\xf5\x80\x80\x80\""};
    static const char *const good[] = {"\"NaN, Infinity\"", "\"a\\\"N\\\\\"", "[1,\t2,\r\n 3]",
                                       "\"\xc2\xa0\xf0\x9f\x90\x8e\"", "\"\\u0000\\n\\ud800\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (status_with(wrong[i]) != MESHPING_PROTOCOL)
            fail_msg("%s was taken", wrong[i]);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (status_with(good[i]) != MESHPING_OK)
            fail_msg("%s was refused", good[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_json_is_refused_also_where_nobody_asks_for_it),
        cmocka_unit_test(test_what_is_not_there_is_not_written),
        cmocka_unit_test(test_a_message_of_no_type_is_not_written),
        cmocka_unit_test(test_nothing_after_a_bad_target_is_looked_at),
        cmocka_unit_test(test_an_allocation_that_fails_costs_the_message_that_is_made_and_nothing_else),
        cmocka_unit_test(test_an_allocation_that_fails_costs_the_message_that_is_read_and_nothing_else),
        cmocka_unit_test(test_a_ticket_is_never_good_for_want_of_memory),
        cmocka_unit_test(test_every_action_has_its_name),
        cmocka_unit_test(test_an_offer_keeps_as_much_of_the_other_family_as_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
