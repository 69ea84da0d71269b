/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of the daemon's HTTP side. */
#include "common/hex.h"
#include "meshpingd/http_text.h"
#include "meshpingd/password.h"
#include "meshpingd/problem.h"
#include "meshpingd/router.h"
#include "meshpingd/throttle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

/* ---- router ---- */

static void handler(struct http_exchange *x)
{
    (void)x;
}

static const http_route routes[] = {
    {"/a", handler, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {"/a", handler, HTTP_POST, HTTP_VIEWER, 0, "x", NULL},
    {"/agents/*/approve", handler, HTTP_POST, HTTP_VIEWER, 0, "x", NULL},
    {"/monitoring/*/*", handler, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
};
#define ROUTES routes, sizeof routes / sizeof routes[0]

static void test_a_path_and_a_method_find_their_route(void **state)
{
    (void)state;
    http_params params;
    unsigned allowed;
    char text[HTTP_METHODS_TEXT_MAX];
    assert_ptr_equal(http_route_find(ROUTES, HTTP_GET, "/a", &params, &allowed), &routes[0]);
    assert_ptr_equal(http_route_find(ROUTES, HTTP_HEAD, "/a", &params, &allowed), &routes[0]);
    assert_ptr_equal(http_route_find(ROUTES, HTTP_POST, "/a", &params, &allowed), &routes[1]);
    assert_null(http_route_find(ROUTES, HTTP_DELETE, "/a", &params, &allowed));
    assert_string_equal(http_methods_text(text, allowed), "GET, HEAD, POST");
    assert_null(http_route_find(ROUTES, HTTP_OTHER, "/a", &params, &allowed));
    assert_int_not_equal(allowed, 0);
    assert_null(http_route_find(ROUTES, HTTP_GET, "/b", &params, &allowed));
    assert_int_equal(allowed, 0);
}

static void test_a_star_takes_one_whole_segment(void **state)
{
    (void)state;
    http_params params;
    unsigned allowed;
    assert_ptr_equal(http_route_find(ROUTES, HTTP_POST, "/agents/6f0c/approve", &params, &allowed), &routes[2]);
    assert_int_equal(params.count, 1);
    assert_string_equal(params.value[0], "6f0c");
    assert_ptr_equal(http_route_find(ROUTES, HTTP_GET, "/monitoring/ab/2001:db8::1", &params, &allowed), &routes[3]);
    assert_string_equal(params.value[0], "ab");
    assert_string_equal(params.value[1], "2001:db8::1");
    static const char *wrong[] = {"/agents//approve",
                                  "/agents/a/b/approve",
                                  "/agents/a/approve/",
                                  "/agents/a",
                                  "/monitoring/a",
                                  "/monitoring/a/",
                                  "/a/",
                                  "",
                                  "/A"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_null(http_route_find(ROUTES, HTTP_POST, wrong[i], &params, &allowed));
        assert_int_equal(allowed, 0);
    }
}

static void test_a_path_that_is_named_is_not_a_parameter(void **state)
{
    static const http_route named[] = {{.pattern = "/agents/*", .method = HTTP_PATCH},
                                       {.pattern = "/agents/approve", .method = HTTP_POST}};
    http_params params;
    unsigned allowed;
    (void)state;
    assert_ptr_equal(http_route_find(named, 2, HTTP_POST, "/agents/approve", &params, &allowed), &named[1]);
    assert_null(http_route_find(named, 2, HTTP_PATCH, "/agents/approve", &params, &allowed));
    assert_int_equal(allowed, HTTP_POST);
    assert_ptr_equal(http_route_find(named, 2, HTTP_PATCH, "/agents/approved", &params, &allowed), &named[0]);
    assert_string_equal(params.value[0], "approved");
    assert_ptr_equal(http_route_find(named, 2, HTTP_PATCH, "/agents/*", &params, &allowed), &named[0]);
    assert_string_equal(params.value[0], "*");
}

static void test_a_parameter_that_is_too_long_is_no_route(void **state)
{
    (void)state;
    char path[HTTP_PARAM_MAX + 32] = "/agents/";
    http_params params;
    unsigned allowed;
    memset(path + 8, 'x', HTTP_PARAM_MAX - 1);
    memcpy(path + 8 + HTTP_PARAM_MAX - 1, "/approve", 9);
    assert_non_null(http_route_find(ROUTES, HTTP_POST, path, &params, &allowed));
    memset(path + 8, 'x', HTTP_PARAM_MAX);
    memcpy(path + 8 + HTTP_PARAM_MAX, "/approve", 9);
    assert_null(http_route_find(ROUTES, HTTP_POST, path, &params, &allowed));
}

/* ---- headers ---- */

static void test_cookie_is_found_among_others(void **state)
{
    (void)state;
    char value[16];
    assert_true(http_cookie_get("a=1; __Host-meshping=tok; b=2", "__Host-meshping", value, sizeof value));
    assert_string_equal(value, "tok");
    assert_true(http_cookie_get("__Host-meshping=tok", "__Host-meshping", value, sizeof value));
    assert_false(http_cookie_get("x__Host-meshping=tok", "__Host-meshping", value, sizeof value));
    assert_false(http_cookie_get("__Host-meshpin=tok", "__Host-meshping", value, sizeof value));
    assert_false(http_cookie_get("", "__Host-meshping", value, sizeof value));
    assert_false(http_cookie_get("__Host-meshping=0123456789abcdef", "__Host-meshping", value, sizeof value));
    assert_true(http_cookie_get("__Host-meshping=0123456789abcde", "__Host-meshping", value, sizeof value));
    /* twice: the same is one, another one may be planted */
    assert_true(http_cookie_get("a=t; a=t", "a", value, sizeof value));
    assert_false(http_cookie_get("a=t; a=u", "a", value, sizeof value));
}

static void test_content_length_is_digits_and_nothing_else(void **state)
{
    (void)state;
    uint64_t length;
    assert_true(http_content_length_parse("0", &length));
    assert_true(http_content_length_parse("4194304", &length));
    assert_int_equal(length, 4194304);
    static const char *wrong[] = {"", "-1", "+1", " 1", "1 ", "1,1", "0x10", "1e3", "99999999999999999999", "1\t"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(http_content_length_parse(wrong[i], &length));
}

static void test_gzip_is_only_used_where_it_is_taken(void **state)
{
    (void)state;
    assert_true(http_accepts_gzip("gzip, deflate, br"));
    assert_true(http_accepts_gzip("br;q=1.0, GZIP;q=0.8"));
    assert_true(http_accepts_gzip("*"));
    assert_false(http_accepts_gzip(""));
    assert_false(http_accepts_gzip("identity"));
    assert_false(http_accepts_gzip("gzip;q=0"));
    assert_false(http_accepts_gzip("gzip; q=0.000, *"));
    assert_false(http_accepts_gzip("notgzip"));
}

static void test_media_types(void **state)
{
    (void)state;
    assert_true(http_media_type_is("application/json; charset=utf-8", "application/json"));
    assert_true(http_media_type_is("Application/JSON", "application/json"));
    assert_false(http_media_type_is("application/jsonp", "application/json"));
    assert_false(http_media_type_is("text/plain", "application/json"));
}

static void test_tokens_are_found_in_lists(void **state)
{
    (void)state;
    assert_true(http_token_listed("close", "close"));
    assert_true(http_token_listed("TE, Close", "close"));
    assert_true(http_token_listed(" ,close\t, TE", "close"));
    assert_false(http_token_listed("", "close"));
    assert_false(http_token_listed("closed, x-close", "close"));
}

static void test_entity_tags_are_compared_as_rfc_9110_has_it(void **state)
{
    static const struct {
        const char *header;
        http_etag_found weakly, strongly;
    } cases[] = {
        {"", HTTP_ETAG_ABSENT, HTTP_ETAG_ABSENT},
        {"*", HTTP_ETAG_LISTED, HTTP_ETAG_LISTED},
        {"\"b\"", HTTP_ETAG_LISTED, HTTP_ETAG_LISTED},
        {"\"a\", \"b\"", HTTP_ETAG_LISTED, HTTP_ETAG_LISTED},
        {"\"b\",\"a\"", HTTP_ETAG_LISTED, HTTP_ETAG_LISTED},
        {"\"a\", W/\"b\"", HTTP_ETAG_LISTED, HTTP_ETAG_ABSENT},
        {"W/\"b\", , \"b\"", HTTP_ETAG_LISTED, HTTP_ETAG_LISTED},
        {"\"ab\"", HTTP_ETAG_ABSENT, HTTP_ETAG_ABSENT},
        {"\"\"", HTTP_ETAG_ABSENT, HTTP_ETAG_ABSENT},
        {"\"a, \\\"", HTTP_ETAG_ABSENT, HTTP_ETAG_ABSENT},
        {"b", HTTP_ETAG_MALFORMED, HTTP_ETAG_MALFORMED},
        {"\"b", HTTP_ETAG_MALFORMED, HTTP_ETAG_MALFORMED},
        {"\"", HTTP_ETAG_MALFORMED, HTTP_ETAG_MALFORMED},
        {"W/b", HTTP_ETAG_MALFORMED, HTTP_ETAG_MALFORMED},
        {"\"b\"x", HTTP_ETAG_MALFORMED, HTTP_ETAG_MALFORMED},
        {"\"b\", *", HTTP_ETAG_MALFORMED, HTTP_ETAG_MALFORMED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(http_etag_listed(cases[i].header, "\"b\"", false), cases[i].weakly);
        assert_int_equal(http_etag_listed(cases[i].header, "\"b\"", true), cases[i].strongly);
    }
}

static void test_ids_and_numbers(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(http_id_parse("6f0c000000000001", &value));
    assert_true(value == UINT64_C(0x6f0c000000000001));
    assert_false(http_id_parse("6f0c", &value));
    assert_false(http_id_parse("6f0c00000000000g", &value));
    assert_false(http_id_parse("6f0c0000000000011", &value));
    assert_true(http_number_parse("9007199254740991", &value));
    assert_false(http_number_parse("9007199254740992", &value));
    assert_false(http_number_parse("0", &value));
}

static void test_what_is_not_utf8_is_made_readable(void **state)
{
    (void)state;
    char text[] = "a\xff\n\xc3\xa9\xed\xa0\x80z";
    http_text_clean(text);
    assert_string_equal(text, "a??\xc3\xa9???z");
    assert_true(http_text_is_utf8("\xf0\x9f\x98\x80"));
    assert_false(http_text_is_utf8("\xc0\x80"));
    assert_false(http_text_is_utf8("\xf4\x90\x80\x80"));
}

/* ---- problem ---- */

static void test_a_problem_says_what_and_why(void **state)
{
    (void)state;
    json_object *problem = problem_json(412, "line\nbreak \xff");
    assert_string_equal(json_object_to_json_string_ext(problem, JSON_C_TO_STRING_PLAIN),
                        "{\"type\":\"about:blank\",\"title\":\"Precondition Failed\",\"status\":412,"
                        "\"detail\":\"line?break ?\"}");
    json_object_put(problem);
    assert_int_equal(problem_http_status(MESHPING_NOT_FOUND), 404);
    assert_int_equal(problem_http_status(MESHPING_STATE), 409);
    assert_int_equal(problem_http_status(MESHPING_CORRUPT), 500);
}

/* ---- password ---- */

static meshping_status check(const char *password)
{
    return password_check(password, strlen(password), "anna", NULL);
}

static void test_passwords_have_12_to_128_characters(void **state)
{
    (void)state;
    char text[PASSWORD_CHARS_MAX * 2 + 3];
    assert_int_equal(check("elevenchars"), MESHPING_INVALID);
    assert_int_equal(check("twelve chars"), MESHPING_OK);
    memset(text, 'x', sizeof text);
    memcpy(text, "weit hinter den wortbergen", 26);
    text[PASSWORD_CHARS_MAX] = 0;
    assert_int_equal(check(text), MESHPING_OK);
    memcpy(text + PASSWORD_CHARS_MAX, "x", 2);
    assert_int_equal(check(text), MESHPING_INVALID);
    /* characters, not bytes */
    assert_int_equal(check("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), MESHPING_INVALID);
    for (size_t i = 0; i < PASSWORD_CHARS_MAX; i++) {
        text[2 * i] = (char)0xc3;
        text[2 * i + 1] = (char)(0xa0 + i * 7 % 32);
    }
    text[2 * PASSWORD_CHARS_MAX] = 0;
    assert_int_equal(check(text), MESHPING_OK);
    assert_int_equal(check("not utf-8 at all \xff"), MESHPING_INVALID);
    assert_int_equal(password_check("administrator", 13, "administrator", NULL), MESHPING_INVALID);
}

static void test_user_names(void **state)
{
    (void)state;
    char text[66];
    memset(text, 'n', sizeof text);
    assert_int_equal(password_check_name(text, 65, NULL), MESHPING_INVALID);
    text[64] = 0;
    assert_int_equal(password_check_name(text, 64, NULL), MESHPING_OK);
    assert_int_equal(password_check_name("", 0, NULL), MESHPING_INVALID);
    assert_int_equal(password_check_name("Zo\xc3\xab M.", 7, NULL), MESHPING_OK);
    assert_int_equal(password_check_name("a\nb", 3, NULL), MESHPING_INVALID);
    assert_int_equal(password_check_name(" a", 2, NULL), MESHPING_INVALID);
}

static void test_a_password_matches_itself_only(void **state)
{
    (void)state;
    static const uint8_t salt[PASSWORD_SALT_LEN] = {1, 2, 3};
    char text[PASSWORD_TEXT_MAX];
    bool matches;
    assert_int_equal(password_encode(text, "correct horse", 13, 1024, salt, NULL), MESHPING_OK);
    assert_int_equal(strncmp(text, "scrypt$1024$8$1$01020300", 24), 0);
    assert_int_equal(password_verify(&matches, text, "correct horse", 13, NULL), MESHPING_OK);
    assert_true(matches);
    assert_int_equal(password_verify(&matches, text, "correct horsf", 13, NULL), MESHPING_OK);
    assert_false(matches);
    assert_int_equal(password_verify(&matches, text, "correct hors", 12, NULL), MESHPING_OK);
    assert_false(matches);
}

/* RFC 7914, section 12, gives N = 1024, r = 8, p = 16 and others; ours has p = 1, so this is a figure of our own form.
 */
static void test_a_damaged_password_text_matches_nothing(void **state)
{
    (void)state;
    static const uint8_t salt[PASSWORD_SALT_LEN] = {9};
    char good[PASSWORD_TEXT_MAX], text[PASSWORD_TEXT_MAX + 1];
    bool matches = true;
    assert_int_equal(password_encode(good, "correct horse", 13, 16, salt, NULL), MESHPING_OK);
    static const char *wrong[] = {
        "", "plain", "scrypt$", "scrypt$16$8$1$", "scrypt$15$8$1$00$00", "scrypt$1073741824$8$1$00$00"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(password_verify(&matches, wrong[i], "correct horse", 13, NULL), MESHPING_CORRUPT);
        assert_false(matches);
    }
    memcpy(text, good, sizeof good);
    text[strlen(text) - 1] = 'g';
    assert_int_equal(password_verify(&matches, text, "correct horse", 13, NULL), MESHPING_CORRUPT);
    snprintf(text, sizeof text, "%s0", good);
    assert_int_equal(password_verify(&matches, text, "correct horse", 13, NULL), MESHPING_CORRUPT);
    /* a cost that would eat the machine is not tried */
    assert_int_equal(password_verify(&matches, "scrypt$1099511627776$8$1$00$00", "x", 1, NULL), MESHPING_CORRUPT);
}

static void test_hex_goes_out_small_and_comes_in_either_way(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x9f, 0xa0, 0xff};
    uint8_t back[4];
    char text[9];
    (void)state;
    assert_string_equal(hex_put(text, bytes, sizeof bytes), "009fa0ff");
    assert_true(hex_get(back, 4, "009fA0Ff00"));
    assert_memory_equal(back, bytes, 4);
    assert_string_equal(hex_put(text, bytes, 0), "");
    assert_true(hex_get(back, 0, ""));
    for (size_t i = 0; i < 8; i++) /* nothing behind the NUL is read */
        for (const char *bad = "/:@G`g \xb0"; *bad; bad++) {
            snprintf(text, sizeof text, "009fa0ff");
            text[i] = *bad;
            assert_false(hex_get(back, 4, text));
            text[i] = 0;
            assert_false(hex_get(back, 4, text));
        }
}

static void test_a_bearer_s_token_is_what_follows_its_spaces(void **state)
{
    static const struct {
        const char *header, *token;
    } cases[] = {
        {"", NULL},
        {"Basic YTpi", NULL},
        {"Bearertoken", NULL},
        {"Bearer,x", NULL},
        {" Bearer x", NULL},
        {"Bearer x", "x"},
        {"bEARER x", "x"},
        {"Bearer    x", "x"},
        {"Bearer", ""},
        {"Bearer ", ""},
        {"Bearer\tx", "\tx"},
        {"Bearer \tx", "\tx"},
        {"Bearer x y", "x y"},
        {"Bearer x\t", "x\t"},
        {"Bearer x,Bearer y", "x,Bearer y"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *token = http_bearer(cases[i].header);
        assert_int_equal(token == NULL, cases[i].token == NULL);
        if (token)
            assert_string_equal(token, cases[i].token);
    }
}

/* ---- throttle ---- */

static void test_failures_make_one_wait_longer_and_never_for_good(void **state)
{
    (void)state;
    throttle t;
    uint8_t key[THROTTLE_KEY_LEN], other[THROTTLE_KEY_LEN];
    int64_t now_ms = 1000000;
    assert_int_equal(throttle_init(&t, &(throttle_limits){3, 1000, 8000}), MESHPING_OK);
    throttle_key(key, "account", "anna", 4);
    throttle_key(other, "account", "bert", 4);
    static const int64_t waits_ms[] = {0, 0, 1000, 2000, 4000, 8000, 8000, 8000};
    for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
        throttle_begin(&t, key, now_ms);
        assert_int_equal(throttle_wait_ms(&t, key, now_ms), waits_ms[i]);
        assert_int_equal(throttle_wait_ms(&t, key, now_ms + waits_ms[i]), 0);
        now_ms += waits_ms[i];
    }
    assert_int_equal(throttle_wait_ms(&t, other, now_ms), 0);
    /* the wait counts from the end of a try, however long it took to find it wrong */
    assert_int_equal(throttle_failures(&t, key, now_ms), sizeof waits_ms / sizeof waits_ms[0]);
    assert_int_equal(throttle_failures(&t, key, now_ms + THROTTLE_FORGET_MS), 0);
    assert_int_equal(throttle_failures(&t, other, now_ms), 0);
    throttle_failed(&t, key, now_ms + 5000);
    assert_int_equal(throttle_wait_ms(&t, key, now_ms + 8000), 5000);
    throttle_failed(&t, key, now_ms);
    /* a clock set back by a day locks nobody out for a day */
    assert_int_equal(throttle_wait_ms(&t, key, now_ms - 86400000), 8000);
    assert_int_equal(throttle_wait_ms(&t, key, now_ms + THROTTLE_FORGET_MS), 0);
    throttle_begin(&t, key, now_ms + THROTTLE_FORGET_MS);
    assert_int_equal(throttle_wait_ms(&t, key, now_ms + THROTTLE_FORGET_MS), 0);
    throttle_dispose(&t);
}

/* Somebody tries anna's name as fast as he may, for a day; whenever she comes, she waits half a minute at most. */
static void test_nobody_waits_over_half_a_minute_for_an_account_that_others_try(void **state)
{
    (void)state;
    static const int64_t day_ms = 86400000;
    static const int64_t waits_ms[] = {0, 0, 0, 0, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    throttle t;
    uint8_t key[THROTTLE_KEY_LEN];
    size_t tries = 0;
    assert_int_equal(throttle_init(&t, &throttle_accounts), MESHPING_OK);
    throttle_key(key, "account", "anna", 4);
    for (int64_t now_ms = day_ms, wait_ms; now_ms < 2 * day_ms; now_ms += wait_ms) {
        throttle_begin(&t, key, now_ms);
        throttle_failed(&t, key, now_ms);
        wait_ms = throttle_wait_ms(&t, key, now_ms);
        assert_int_equal(wait_ms, tries < 11 ? waits_ms[tries] : 30000);
        tries++;
    }
    assert_int_equal(tries, 9 + (day_ms - 31000) / 30000 + 1);
    throttle_dispose(&t);
}

static void test_success_forgives(void **state)
{
    (void)state;
    throttle t;
    uint8_t key[THROTTLE_KEY_LEN];
    assert_int_equal(throttle_init(&t, &(throttle_limits){2, 1000, 8000}), MESHPING_OK);
    throttle_key(key, "address", "\x0a\x00\x00\x01", 4);
    for (int i = 0; i < 3; i++)
        throttle_begin(&t, key, 0);
    assert_int_equal(throttle_wait_ms(&t, key, 0), 2000);
    throttle_succeeded(&t, key, false);
    assert_int_equal(throttle_wait_ms(&t, key, 0), 1000);
    throttle_succeeded(&t, key, true);
    assert_int_equal(throttle_wait_ms(&t, key, 0), 0);
    throttle_succeeded(&t, key, false); /* nothing to forgive */
    assert_int_equal(throttle_wait_ms(&t, key, 0), 0);
    throttle_dispose(&t);
}

static void test_a_full_throttle_forgets_who_failed_longest_ago(void **state)
{
    (void)state;
    throttle t;
    uint8_t first[THROTTLE_KEY_LEN], second[THROTTLE_KEY_LEN], key[THROTTLE_KEY_LEN];
    assert_int_equal(throttle_init(&t, &(throttle_limits){1, 100000, 100000}), MESHPING_OK);
    throttle_key(first, "k", "first", 5);
    throttle_key(second, "k", "second", 6);
    throttle_begin(&t, first, 0);
    throttle_begin(&t, second, 1);
    for (uint32_t i = 0; i < THROTTLE_ENTRIES - 2; i++) {
        throttle_key(key, "n", &i, sizeof i);
        throttle_begin(&t, key, 2);
    }
    assert_true(throttle_wait_ms(&t, first, 3) > 0);
    throttle_key(key, "n", "one more", 8);
    throttle_begin(&t, key, 3);
    assert_int_equal(throttle_wait_ms(&t, first, 3), 0);
    assert_true(throttle_wait_ms(&t, second, 3) > 0);
    assert_true(throttle_wait_ms(&t, key, 3) > 0);
    throttle_dispose(&t);
}

static void test_common_passwords_are_refused_whatever_they_are_made_of(void **state)
{
    (void)state;
    static const char *common[] = {
        "password1234",     "Password123!",         "P@ssw0rd2024",
        "passwordpassword", "123456789012",         "qwertyuiop123",
        "qwertyuiopas",     "1q2w3e4r5t6y7u8i9o0p", "aaaaaaaaaaaa",
        "abcabcabcabc",     "iloveyou1234",         "administrator",
        "administrator1!",  "letmein12345",         "Welcome2024!",
        "welcome12345",     "Summer2023!!",         "abcdefghijkl",
        "meshping12345",    "Meshping2026!",        "changeme1234",
        "superman12345",    "football12345",        "monkeymonkey",
        "dragon123456",     "987654321098",         "anna1234anna",
        "qazwsxedc123",     "zaq12wsx1234",         "1234qwerasdf",
        "adminadmin123",    "trustno1trustno1",     "sunshine1234",
        "princess12345",    "asdfghjkl123",         "11111111111111",
        "121212121212",     "010203040506",         "20242025202620",
        "secret-secret",    "letmein letmein",      "correcthorsebatterystaple",
        "            ",     "............",
    };
    static const char *good[] = {
        "correct horse battery",
        "another horse battery",
        "blue dragon sunshine coffee",
        "vw8Zk2mTqLx0",
        "weit hinter den wortbergen",
        "kje72-bnq91-xpl55-vtr",
        "\xc3\xa4pfel und birnen im garten",
        "thunder walrus pickled ladder",
    };
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (!password_is_common(common[i], strlen(common[i]), "anna"))
            fail_msg("%s is not taken for common", common[i]);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (password_is_common(good[i], strlen(good[i]), "anna"))
            fail_msg("%s is taken for common", good[i]);
    assert_true(password_is_common("Wolfgang-Wolfgang-1", 19, "wolfgang"));
    assert_false(password_is_common("Wolfgang likes quiet evenings", 29, "wolfgang"));
}

static void test_an_e_mail_address_needs_no_quoting(void **state)
{
    (void)state;
    static const char *good[] = {"", "a@b", "anna.k+mesh@mail.example.org", "o'neil@example.org"};
    static const char *bad[] = {"anna",  "@example.org", "anna@",  "a@b@c",   "a b@c",
                                "a@b c", "a\r\nBcc:x@y", "<a@b>",  "a@b,c@d", "\xc3\xa4@b",
                                "a@.b",  "a@b.",         "a@b\nX", "a@[::1]", "\"a\"@b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(http_text_is_email(good[i], 255));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(http_text_is_email(bad[i], 255));
    assert_true(http_text_is_email("a@b", 4));
    assert_false(http_text_is_email("a@b", 3));
}

static void test_a_role_may_what_is_below_it_and_what_is_not_set_is_closed(void **state)
{
    (void)state;
    for (int access = HTTP_NOBODY; access <= HTTP_ADMIN; access++)
        for (int role = MESHPING_ROLE_NONE; role <= MESHPING_ROLE_ADMIN; role++)
            assert_int_equal(http_access_allows((http_access)access, (meshping_role)role),
                             access == HTTP_ANYONE || (access != HTTP_NOBODY && role >= access - HTTP_ANYONE));
    assert_false(http_access_allows((http_access)99, MESHPING_ROLE_ADMIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common_passwords_are_refused_whatever_they_are_made_of),
        cmocka_unit_test(test_an_e_mail_address_needs_no_quoting),
        cmocka_unit_test(test_a_role_may_what_is_below_it_and_what_is_not_set_is_closed),
        cmocka_unit_test(test_a_path_and_a_method_find_their_route),
        cmocka_unit_test(test_a_star_takes_one_whole_segment),
        cmocka_unit_test(test_a_path_that_is_named_is_not_a_parameter),
        cmocka_unit_test(test_a_parameter_that_is_too_long_is_no_route),
        cmocka_unit_test(test_cookie_is_found_among_others),
        cmocka_unit_test(test_content_length_is_digits_and_nothing_else),
        cmocka_unit_test(test_gzip_is_only_used_where_it_is_taken),
        cmocka_unit_test(test_media_types),
        cmocka_unit_test(test_tokens_are_found_in_lists),
        cmocka_unit_test(test_entity_tags_are_compared_as_rfc_9110_has_it),
        cmocka_unit_test(test_ids_and_numbers),
        cmocka_unit_test(test_what_is_not_utf8_is_made_readable),
        cmocka_unit_test(test_a_problem_says_what_and_why),
        cmocka_unit_test(test_passwords_have_12_to_128_characters),
        cmocka_unit_test(test_user_names),
        cmocka_unit_test(test_a_password_matches_itself_only),
        cmocka_unit_test(test_a_damaged_password_text_matches_nothing),
        cmocka_unit_test(test_hex_goes_out_small_and_comes_in_either_way),
        cmocka_unit_test(test_a_bearer_s_token_is_what_follows_its_spaces),
        cmocka_unit_test(test_failures_make_one_wait_longer_and_never_for_good),
        cmocka_unit_test(test_nobody_waits_over_half_a_minute_for_an_account_that_others_try),
        cmocka_unit_test(test_success_forgives),
        cmocka_unit_test(test_a_full_throttle_forgets_who_failed_longest_ago),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
