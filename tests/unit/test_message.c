/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define B8 "AAECAwQFBgc" /* 8 bytes 00 01 ... as base64url */
#define B16 "AAECAwQFBgcICQoLDA0ODw"
#define B32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" /* 32 */
#define B40 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJw"
#define B64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-Pw"
#define ID "\"0123456789abcdef\""
#define ID_MAX "9007199254740991"
#define ID_OVER "9007199254740992"
#define TIME_MAX "72057594037927936"
#define TIME_OVER "72057594037927937"

/* One good message of each kind, with every field there is. */
static const char *const samples[] = {
    "{\"event\":\"welcome\",\"data\":{\"version\":1,\"server_id\":" ID ",\"nonce_s\":\"" B32
    "\",\"time_ms\":1700000000000}}",
    "{\"event\":\"handshake\",\"data\":{\"mode\":\"enrol\",\"tid\":\"" B8 "\",\"public_key\":\"" B32
    "\",\"nonce_a\":\"" B32 "\",\"info\":\"" B32 "\",\"signature\":\"" B64 "\"}}",
    "{\"event\":\"handshake\",\"data\":{\"mode\":\"resume\",\"ticket\":\"" B40 "\",\"public_key\":\"" B32
    "\",\"nonce_a\":\"" B32 "\",\"info\":\"" B32 "\",\"signature\":\"" B64 "\"}}",
    "{\"event\":\"registration_status\",\"data\":{\"status\":\"approved\",\"message\":\"w\xc3\xa4lcome\",\"agent_"
    "id\":" ID ",\"epoch\":" ID ",\"ranges\":[[1,5],[7,7],[9," ID_MAX "]],\"credit\":4194304,\"retry_s\":3,"
    "\"ticket\":\"" B40 "\"}}",
    "{\"event\":\"refused\",\"data\":{\"code\":\"passphrase\",\"message\":\"not known\",\"retry_s\":30}}",
    "{\"event\":\"server_message\",\"data\":{\"type\":\"update_targets\",\"revision\":12,\"part\":1,\"parts\":2,"
    "\"targets\":["
    "{\"id\":1,\"address\":\"192.0.2.1\",\"name\":\"gate\",\"interval_ms\":5000,\"timeout_ms\":3000,\"size\":56,"
    "\"dscp\":46,\"ttl\":9,\"family\":4,\"dont_fragment\":true,\"source\":\"192.0.2.7\",\"interface\":\"eth0\"},{"
    "\"id\":2,\"address\":\"host.example\",\"interval_ms\":5000,"
    "\"timeout_ms\":3000,\"size\":56,\"dscp\":0}]}}",
    "{\"event\":\"server_message\",\"data\":{\"type\":\"update_targets\",\"revision\":13,\"part\":0,\"parts\":1,"
    "\"targets\":[],\"base\":12,\"removed\":[1," ID_MAX "]}}",
    "{\"event\":\"targets_applied\",\"data\":{\"revision\":12,\"count\":2}}",
    "{\"event\":\"status\",\"data\":{\"time_us\":1700000000000000,\"ping\":5,\"pong\":6,\"echo_us\":1700000000000001,"
    "\"buffered_samples\":7,\"dropped_samples\":8,\"retry_s\":9}}",
    "{\"event\":\"monitoring_data\",\"data\":{\"epoch\":" ID ",\"sequence\":3,\"samples\":[{\"target\":1,"
    "\"timestamp\":\"2026-11-23T00:00:00.000000Z\",\"result\":\"ok\",\"latency\":1.500}]}}",
    "{\"event\":\"data_received\",\"data\":{\"epoch\":" ID ",\"ranges\":[[1,4]],\"credit\":0}}",
    "{\"event\":\"gap\",\"data\":{\"epoch\":" ID ",\"first\":4,\"last\":6,\"from_us\":-5,\"to_us\":1700000000000000,"
    "\"samples\":30,\"reason\":\"overflow\"}}",
    "{\"event\":\"joined\",\"data\":{\"serial\":" ID "}}",
    "{\"event\":\"server_message\",\"data\":{\"type\":\"rekey\",\"nonce\":\"" B32 "\"}}",
    "{\"event\":\"server_message\",\"data\":{\"type\":\"rekeyed\",\"public_key\":\"" B32 "\"}}",
    "{\"event\":\"server_message\",\"data\":{\"type\":\"pin_change\",\"pin\":\"" B16 "\",\"next\":\"" B16 "\"}}",
    "{\"event\":\"rekey\",\"data\":{\"public_key\":\"" B32 "\",\"old_signature\":\"" B64 "\",\"new_signature\":\"" B64
    "\"}}",
    "{\"event\":\"pin_stored\",\"data\":{\"pin\":\"" B16 "\",\"next\":\"" B16 "\"}}",
};
#define SAMPLES (sizeof samples / sizeof *samples)
enum {
    WELCOME,
    ENROL,
    RESUME,
    REGISTRATION,
    REFUSED,
    UPDATE,
    DELTA,
    APPLIED,
    STATUS,
    DATA,
    RECEIVED,
    GAP,
    JOINED,
    REKEY_REQUEST,
    REKEYED,
    PIN_CHANGE,
    REKEY,
    PIN_STORED
};

static void assert_taken(const char *text)
{
    meshping_message message;
    meshping_error err = {0};
    if (meshping_message_decode(&message, text, strlen(text), &err) != MESHPING_OK)
        fail_msg("%s: %s", text, err.message);
    meshping_message_dispose(&message);
}

static void assert_refused_bytes(const char *text, size_t length, const char *words)
{
    meshping_message message;
    meshping_error err = {0};
    char *exact = malloc(length ? length : 1); /* so that a sanitizer sees one byte too far */
    memcpy(exact, text, length);
    meshping_status status = meshping_message_decode(&message, exact, length, &err);
    free(exact);
    if (status != MESHPING_PROTOCOL)
        fail_msg("status %s for %s", meshping_status_name(status), text);
    if (!err.message[0] || !strstr(err.message, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, words);
}

static void assert_refused(const char *text, const char *words)
{
    assert_refused_bytes(text, strlen(text), words);
}

/* A sample with data[field] replaced by the JSON `value`; NULL takes it away. In a static buffer. */
static const char *with(size_t sample, const char *field, const char *value)
{
    static char text[1 << 17];
    json_object *message = json_tokener_parse(samples[sample]), *data = json_object_object_get(message, "data");
    assert_non_null(message);
    json_object_object_del(data, field);
    /* put in as text, for json-c would not write what it must not read */
    const char *rest = json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN);
    const char *event = json_object_get_string(json_object_object_get(message, "event"));
    if (value)
        snprintf(text, sizeof text, "{\"event\":\"%s\",\"data\":{\"%s\":%s%s%s}", event, field, value,
                 rest[1] == '}' ? "" : ",", rest + 1);
    else
        snprintf(text, sizeof text, "{\"event\":\"%s\",\"data\":%s}", event, rest);
    json_object_put(message);
    return text;
}

static void assert_field_refused(size_t sample, const char *field, const char *value)
{
    char words[64];
    snprintf(words, sizeof words, "\"%s\"", field);
    assert_refused(with(sample, field, value), words);
}

static void test_every_message_comes_back_from_the_wire_as_it_was(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SAMPLES; i++) {
        meshping_message message;
        meshping_error err = {0};
        char *text;
        size_t length;
        if (meshping_message_decode(&message, samples[i], strlen(samples[i]), &err) != MESHPING_OK)
            fail_msg("%s: %s", samples[i], err.message);
        assert_int_equal(meshping_message_encode(&text, &length, &message, &err), MESHPING_OK);
        assert_string_equal(text, samples[i]);
        assert_int_equal(length, strlen(text));
        meshping_free(text);
        meshping_message_dispose(&message);
    }
}

static void test_the_fields_arrive_where_they_belong(void **unused)
{
    (void)unused;
    meshping_message m;
    const char *text = samples[REGISTRATION];
    assert_int_equal(meshping_message_decode(&m, text, strlen(text), NULL), MESHPING_OK);
    const meshping_registration_status *status = &m.u.registration_status;
    assert_int_equal(status->state, MESHPING_AGENT_APPROVED);
    assert_string_equal(status->message, "w\xc3\xa4lcome");
    assert_true(status->agent_id == 0x0123456789abcdef && status->credit_bytes == 4194304 && status->retry_s == 3);
    assert_int_equal(status->range_count, 3);
    assert_true(status->ranges[1].first == 7 && status->ranges[1].last == 7);
    text = samples[UPDATE];
    assert_int_equal(meshping_message_decode(&m, text, strlen(text), NULL), MESHPING_OK);
    const meshping_target *target = m.u.target_update.list.items;
    assert_int_equal(m.u.target_update.list.count, 2);
    assert_string_equal(target[0].host, "192.0.2.1");
    assert_string_equal(target[0].name, "gate");
    assert_int_equal(target[0].dscp, 46);
    assert_int_equal(target[0].ttl, 9);
    assert_true(target[0].dont_fragment && !target[1].dont_fragment);
    assert_true(target[0].source.family == 4 && target[0].source.bytes[3] == 7 && target[1].source.family == 0);
    assert_string_equal(target[0].interface, "eth0");
    assert_int_equal(target[1].id, 2);
    assert_false(m.u.target_update.is_delta);
    meshping_message_dispose(&m);
    text = samples[DELTA];
    assert_int_equal(meshping_message_decode(&m, text, strlen(text), NULL), MESHPING_OK);
    assert_true(m.u.target_update.is_delta && m.u.target_update.base == 12 && m.u.target_update.list.count == 0);
    assert_int_equal(m.u.target_update.removed_count, 2);
    assert_true(m.u.target_update.removed[0] == 1 && m.u.target_update.removed[1] == (UINT64_C(1) << 53) - 1);
    meshping_message_dispose(&m);
    text = samples[GAP];
    assert_int_equal(meshping_message_decode(&m, text, strlen(text), NULL), MESHPING_OK);
    assert_int_equal(m.u.gap.gap.reason, MESHPING_GAP_OVERFLOW);
    assert_true(m.u.gap.gap.first_unix_us == -5 && m.u.gap.gap.sample_count == 30);
}

typedef struct field_rule {
    size_t sample;
    const char *field, *type;
    bool required;
} field_rule;

static const field_rule rules[] = {
    {WELCOME, "version", "int", true},
    {WELCOME, "server_id", "string", true},
    {WELCOME, "nonce_s", "string", true},
    {WELCOME, "time_ms", "int", true},
    {ENROL, "mode", "string", true},
    {ENROL, "tid", "string", true},
    {ENROL, "public_key", "string", true},
    {ENROL, "nonce_a", "string", true},
    {ENROL, "info", "string", true},
    {ENROL, "signature", "string", true},
    {RESUME, "mode", "string", true},
    {RESUME, "public_key", "string", true},
    {RESUME, "nonce_a", "string", true},
    {RESUME, "info", "string", true},
    {RESUME, "signature", "string", true},
    {RESUME, "ticket", "string", false},
    {REGISTRATION, "status", "string", true},
    {REGISTRATION, "message", "string", false},
    {REGISTRATION, "agent_id", "string", false},
    {REGISTRATION, "epoch", "string", true},
    {REGISTRATION, "ranges", "array", true},
    {REGISTRATION, "credit", "int", true},
    {REGISTRATION, "retry_s", "int", false},
    {REGISTRATION, "ticket", "string", false},
    {REFUSED, "code", "string", true},
    {REFUSED, "message", "string", false},
    {REFUSED, "retry_s", "int", false},
    {REKEY_REQUEST, "type", "string", true},
    {REKEY_REQUEST, "nonce", "string", true},
    {REKEYED, "type", "string", true},
    {REKEYED, "public_key", "string", true},
    {PIN_CHANGE, "type", "string", true},
    {PIN_CHANGE, "pin", "string", true},
    {PIN_CHANGE, "next", "string", false},
    {REKEY, "public_key", "string", true},
    {REKEY, "old_signature", "string", true},
    {REKEY, "new_signature", "string", true},
    {PIN_STORED, "pin", "string", true},
    {PIN_STORED, "next", "string", false},
    {UPDATE, "type", "string", true},
    {UPDATE, "revision", "int", true},
    {UPDATE, "part", "int", true},
    {UPDATE, "parts", "int", true},
    {UPDATE, "targets", "array", true},
    {DELTA, "type", "string", true},
    {DELTA, "revision", "int", true},
    {DELTA, "part", "int", true},
    {DELTA, "parts", "int", true},
    {DELTA, "targets", "array", true},
    {DELTA, "base", "int", true},
    {DELTA, "removed", "array", true},
    {APPLIED, "revision", "int", true},
    {APPLIED, "count", "int", true},
    {STATUS, "time_us", "int", true},
    {STATUS, "ping", "int", false},
    {STATUS, "pong", "int", false},
    {STATUS, "echo_us", "int", false},
    {STATUS, "buffered_samples", "int", false},
    {STATUS, "dropped_samples", "int", false},
    {STATUS, "retry_s", "int", false},
    {DATA, "epoch", "string", true},
    {DATA, "sequence", "int", true},
    {DATA, "samples", "array", true},
    {RECEIVED, "epoch", "string", true},
    {RECEIVED, "ranges", "array", true},
    {RECEIVED, "credit", "int", true},
    {GAP, "epoch", "string", true},
    {GAP, "first", "int", true},
    {GAP, "last", "int", true},
    {GAP, "from_us", "int", true},
    {GAP, "to_us", "int", true},
    {GAP, "samples", "int", false},
    {GAP, "reason", "string", true},
    {JOINED, "serial", "string", true},
};
#define RULES (sizeof rules / sizeof *rules)

/* So that a new field cannot be forgotten here: the rules name all that the samples hold. */
static void test_the_rules_name_every_field(void **unused)
{
    (void)unused;
    size_t fields = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        json_object *message = json_tokener_parse(samples[i]);
        fields += (size_t)json_object_object_length(json_object_object_get(message, "data"));
        json_object_put(message);
    }
    assert_int_equal(fields, RULES);
}

static void test_a_missing_field_is_named_unless_it_may_be_missing(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < RULES; i++) {
        static const char *const missing[] = {NULL, "null"};
        for (size_t k = 0; k < 2; k++) {
            if (rules[i].required)
                assert_field_refused(rules[i].sample, rules[i].field, missing[k]);
            else
                assert_taken(with(rules[i].sample, rules[i].field, missing[k]));
        }
    }
}

static void test_a_field_of_the_wrong_type_is_named(void **unused)
{
    (void)unused;
    static const struct {
        const char *type, *value;
    } values[] = {{"int", "1"},        {"double", "1.0"},    {"double", "1e0"},      {"string", "\"1\""},
                  {"boolean", "true"}, {"array", "[\"1\"]"}, {"object", "{\"1\":1}"}};
    for (size_t i = 0; i < RULES; i++)
        for (size_t k = 0; k < sizeof values / sizeof *values; k++)
            if (strcmp(values[k].type, rules[i].type) != 0)
                assert_field_refused(rules[i].sample, rules[i].field, values[k].value);
}

static void test_numbers_stop_at_their_bounds(void **unused)
{
    (void)unused;
    static const struct {
        size_t sample;
        const char *field, *below, *min, *max, *above;
    } bounds[] = {
        {WELCOME, "version", "0", "1", "4294967295", "4294967296"},
        {WELCOME, "time_ms", "-" TIME_OVER, "-" TIME_MAX, TIME_MAX, TIME_OVER},
        {REGISTRATION, "credit", "-1", "0", ID_MAX, ID_OVER},
        {REGISTRATION, "retry_s", "-1", "0", "4294967295", "4294967296"},
        {REFUSED, "retry_s", "-1", "0", "4294967295", "4294967296"},
        {UPDATE, "revision", "-1", "0", ID_MAX, ID_OVER},
        {UPDATE, "part", "-1", "0", "1", "2"},       /* of 2 parts */
        {UPDATE, "parts", "1", "2", "4096", "4097"}, /* with part 1 */
        {APPLIED, "revision", "-1", "0", ID_MAX, ID_OVER},
        {APPLIED, "count", "-1", "0", "4294967295", "4294967296"},
        {STATUS, "time_us", "-" TIME_OVER, "-" TIME_MAX, TIME_MAX, TIME_OVER},
        {STATUS, "ping", "-1", "0", ID_MAX, ID_OVER},
        {STATUS, "pong", "-1", "0", ID_MAX, ID_OVER},
        {STATUS, "echo_us", "-" TIME_OVER, "-" TIME_MAX, TIME_MAX, TIME_OVER},
        {STATUS, "buffered_samples", "-1", "0", ID_MAX, ID_OVER},
        {STATUS, "dropped_samples", "-1", "0", ID_MAX, ID_OVER},
        {STATUS, "retry_s", "-1", "0", "4294967295", "4294967296"},
        {DATA, "sequence", "0", "1", ID_MAX, ID_OVER},
        {RECEIVED, "credit", "-1", "0", ID_MAX, ID_OVER},
        {GAP, "first", "0", "1", "6", "7"},       /* last is 6 */
        {GAP, "last", "3", "4", ID_MAX, ID_OVER}, /* first is 4 */
        {GAP, "samples", "-1", "0", ID_MAX, ID_OVER},
        {GAP, "from_us", "-" TIME_OVER, "-" TIME_MAX, "0", TIME_OVER},
        {GAP, "to_us", "-6", "-5", TIME_MAX, TIME_OVER}, /* from_us is -5 */
    };
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        assert_taken(with(bounds[i].sample, bounds[i].field, bounds[i].min));
        assert_taken(with(bounds[i].sample, bounds[i].field, bounds[i].max));
        const char *above = bounds[i].sample == GAP && !strcmp(bounds[i].field, "first") ? "last" : bounds[i].field;
        const char *below = bounds[i].sample == UPDATE && !strcmp(bounds[i].field, "parts") ? "part" : bounds[i].field;
        assert_refused(with(bounds[i].sample, bounds[i].field, bounds[i].below), below);
        assert_refused(with(bounds[i].sample, bounds[i].field, bounds[i].above), above);
        static const char *const absurd[] = {"9223372036854775808", "18446744073709551616", "-9223372036854775809",
                                             "99999999999999999999999999999999999999"};
        for (size_t k = 0; k < sizeof absurd / sizeof *absurd; k++)
            assert_refused(with(bounds[i].sample, bounds[i].field, absurd[k]), "\"");
    }
}

static void test_ids_are_16_lower_case_hex_digits(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"\"\"",
                                        "\"0123456789abcde\"",
                                        "\"0123456789abcdef0\"",
                                        "\"0123456789ABCDEF\"",
                                        "\"0x23456789abcdef\"",
                                        "\"0123456789abcde\\u0000\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_field_refused(WELCOME, "server_id", wrong[i]);
        assert_field_refused(REGISTRATION, "agent_id", wrong[i]);
        assert_field_refused(GAP, "epoch", wrong[i]);
    }
}

static void test_bytes_are_base64url_in_their_one_form(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"\"\"",
                                        "\"AAECAwQFBg\"",   /* 7 bytes */
                                        "\"AAECAwQFBgcI\"", /* 9 */
                                        "\"AAECAwQFBgc=\"", /* padding */
                                        "\"AAECAwQFBgd\"",  /* loose bits */
                                        "\"AAECAwQFBgcA=\"",
                                        "\"AAECAwQFB+c\"",
                                        "\"AAECAwQFB/c\"",
                                        "\"AAECAwQ FBc\"",
                                        "\"AAECAwQFBg\\u0000\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_field_refused(ENROL, "tid", wrong[i]);
    assert_taken(with(ENROL, "tid", "\"-_-_-_-_-_8\""));
}

static void test_info_takes_1024_bytes(void **unused)
{
    (void)unused;
    for (size_t bytes = 1023; bytes <= 1025; bytes++) {
        char value[1500];
        size_t length = (bytes * 8 + 5) / 6;
        value[0] = '"';
        memset(value + 1, 'A', length);
        value[length + 1] = '"';
        value[length + 2] = '\0';
        if (bytes <= MESHPING_INFO_MAX)
            assert_taken(with(RESUME, "info", value));
        else
            assert_field_refused(RESUME, "info", value);
    }
    assert_true(strlen(samples[ENROL]) + 1366 < MESHPING_HELLO_MAX); /* the longest handshake fits what is taken */
}

static void test_texts_have_a_length_and_no_control_characters(void **unused)
{
    (void)unused;
    for (size_t length = 254; length <= 256; length++) {
        char value[300];
        snprintf(value, sizeof value, "\"%0*d\"", (int)length, 0);
        if (length < MESHPING_AGENT_TEXT_MAX)
            assert_taken(with(REFUSED, "message", value));
        else
            assert_field_refused(REFUSED, "message", value);
    }
    static const char *const wrong[] = {"\"a\\u0000b\"", "\"a\\nb\"", "\"\\u001b[31m\"", "\"\\u007f\"",
                                        "\"\\u009b31m\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_field_refused(REFUSED, "message", wrong[i]);
}

static void test_bytes_that_are_not_utf_8_are_refused(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"\"\xff\"",
                                        "\"\x80\"",
                                        "\"\xc3\"",
                                        "\"\xc0\xaf\"",
                                        "\"\xe0\x80\xaf\"",
                                        "\"\xed\xa0\x80\"",
                                        "\"\xf4\x90\x80\x80\"",
                                        "\"\xf8\x88\x80\x80\x80\""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_refused(with(REFUSED, "message", wrong[i]), "");
    assert_taken(with(REFUSED, "message", "\"\xc2\xa0\xe2\x82\xac\xf0\x9f\x90\x8e\""));
}

static void test_ranges_are_ascending_pairs_and_at_most_32(void **unused)
{
    (void)unused;
    static const char *const good[] = {"[]", "[[1,1]]", "[[1,1],[2,2]]", "[[1," ID_MAX "]]"};
    static const char *const wrong[] = {"[1]",           "[[1]]",
                                        "[[1,2,3]]",     "[[0,1]]",
                                        "[[2,1]]",       "[[1,2],[2,3]]",
                                        "[[5,6],[1,2]]", "[[1,\"2\"]]",
                                        "[[1,2.0]]",     "[[-1,2]]",
                                        "[null]",        "[[1," ID_OVER "]]",
                                        "[[1,2],null]",  "[{\"0\":1,\"1\":2}]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_taken(with(RECEIVED, "ranges", good[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_field_refused(RECEIVED, "ranges", wrong[i]);
    for (int count = 31; count <= 33; count++) {
        char value[2048] = "[", *at = value + 1;
        for (int i = 0; i < count; i++)
            at += sprintf(at, "%s[%d,%d]", i ? "," : "", 3 * i + 1, 3 * i + 2);
        sprintf(at, "]");
        if (count <= MESHPING_RANGES_MAX)
            assert_taken(with(RECEIVED, "ranges", value));
        else
            assert_field_refused(RECEIVED, "ranges", value);
    }
}

static void test_names_that_are_not_known_are_refused(void **unused)
{
    (void)unused;
    assert_field_refused(ENROL, "mode", "\"Enrol\"");
    assert_field_refused(ENROL, "mode", "\"\"");
    assert_field_refused(REGISTRATION, "status", "\"unknown\"");
    assert_field_refused(UPDATE, "type", "\"update_target\"");
    assert_field_refused(GAP, "reason", "\"unknown\"");
    assert_field_refused(GAP, "reason", "\"\"");
    assert_refused("{\"event\":\"hello\",\"data\":{}}", "unknown event \"hello\"");
    assert_refused("{\"event\":\"unknown\",\"data\":{}}", "unknown event");
    assert_refused("{\"event\":\"\",\"data\":{}}", "unknown event");
    assert_refused("{\"event\":\"Welcome\",\"data\":{}}", "unknown event");
    assert_refused("{\"event\":\"0123456789012345678901234567890123456789\",\"data\":{}}", "\"event\"");
}

static void test_unknown_fields_are_ignored(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SAMPLES; i++)
        assert_taken(with(i, "colour", "{\"of\":[\"tomorrow\",1.5,null]}"));
    assert_taken("{\"data\":{\"revision\":1,\"count\":2,\"count\":3},\"x\":1,\"event\":\"targets_applied\"}");
}

static void test_what_is_no_message_is_refused(void **unused)
{
    (void)unused;
    static const char *const wrong[] = {"",
                                        " ",
                                        "null",
                                        "1",
                                        "\"welcome\"",
                                        "[]",
                                        "{}",
                                        "{\"event\":\"gap\"}",
                                        "{\"data\":{}}",
                                        "{\"event\":\"gap\",\"data\":[]}",
                                        "{\"event\":7,\"data\":{}}",
                                        "{\"event\":\"gap\",\"data\":null}",
                                        "{'event':'gap','data':{}}",
                                        "{\"event\":\"gap\",\"data\":{},}",
                                        "// no\n{}",
                                        "{\"event\":\"gap\"",
                                        "nul",
                                        "tru"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_refused(wrong[i], "");
    for (size_t i = 0; i < SAMPLES; i++) /* cut anywhere */
        for (size_t length = 0; length < strlen(samples[i]); length++)
            assert_refused_bytes(samples[i], length, "");
}

static void test_nothing_may_follow_a_message(void **unused)
{
    (void)unused;
    static const char *const tails[] = {"x", "{}", "}", ",", "\xff"};
    char text[4096];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(text, sizeof text, "%s%s", samples[APPLIED], tails[i]);
        assert_refused(text, "");
    }
    size_t length = strlen(samples[APPLIED]);
    memcpy(text, samples[APPLIED], length);
    memcpy(text + length, "\0{}", 3);
    assert_refused_bytes(text, length + 1, "");
    assert_refused_bytes(text, length + 3, "");
    for (size_t at = 0; at < length; at++) { /* a NUL anywhere */
        memcpy(text, samples[APPLIED], length);
        text[at] = '\0';
        assert_refused_bytes(text, length, "");
    }
}

static void test_nesting_has_a_limit(void **unused)
{
    (void)unused;
    char value[256];
    for (int depth = 1; depth <= 100; depth += 33) {
        memset(value, '[', (size_t)depth);
        memset(value + depth, ']', (size_t)depth);
        value[2 * depth] = '\0';
        if (depth == 1)
            assert_taken(with(APPLIED, "x", value));
        else
            assert_refused(with(APPLIED, "x", value), "not JSON");
    }
}

static void test_an_event_that_does_not_exist_is_not_written(void **unused)
{
    (void)unused;
    meshping_message message = {.event = (meshping_event)99};
    meshping_error err = {0};
    char *text = (char *)1;
    size_t length = 5;
    assert_int_equal(meshping_message_encode(&text, &length, &message, &err), MESHPING_INVALID);
    assert_null(text);
    assert_int_equal(length, 0);
    assert_non_null(strstr(err.message, "99"));
    assert_string_equal(meshping_event_name(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_message_comes_back_from_the_wire_as_it_was),
        cmocka_unit_test(test_the_fields_arrive_where_they_belong),
        cmocka_unit_test(test_the_rules_name_every_field),
        cmocka_unit_test(test_a_missing_field_is_named_unless_it_may_be_missing),
        cmocka_unit_test(test_a_field_of_the_wrong_type_is_named),
        cmocka_unit_test(test_numbers_stop_at_their_bounds),
        cmocka_unit_test(test_ids_are_16_lower_case_hex_digits),
        cmocka_unit_test(test_bytes_are_base64url_in_their_one_form),
        cmocka_unit_test(test_info_takes_1024_bytes),
        cmocka_unit_test(test_texts_have_a_length_and_no_control_characters),
        cmocka_unit_test(test_bytes_that_are_not_utf_8_are_refused),
        cmocka_unit_test(test_ranges_are_ascending_pairs_and_at_most_32),
        cmocka_unit_test(test_names_that_are_not_known_are_refused),
        cmocka_unit_test(test_unknown_fields_are_ignored),
        cmocka_unit_test(test_what_is_no_message_is_refused),
        cmocka_unit_test(test_nothing_may_follow_a_message),
        cmocka_unit_test(test_nesting_has_a_limit),
        cmocka_unit_test(test_an_event_that_does_not_exist_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
