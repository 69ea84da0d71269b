/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"
#include <ctype.h>
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static meshping_passphrase sample_of(const char *host)
{
    meshping_passphrase sample = {.port = 8443};
    for (size_t i = 0; i < sizeof sample.key; i++)
        sample.key[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof sample.pin; i++)
        sample.pin[i] = (uint8_t)(0xa0 + i);
    snprintf(sample.host, sizeof sample.host, "%s", host);
    return sample;
}

static void encode(char *text, const char *host)
{
    meshping_error err = {0};
    meshping_passphrase sample = sample_of(host);
    if (meshping_passphrase_encode(text, &sample, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
}

static void assert_reads(const char *text, const char *host)
{
    meshping_error err = {0};
    meshping_passphrase expected = sample_of(host), got;
    memset(&got, 0xff, sizeof got);
    if (meshping_passphrase_decode(&got, text, &err) != MESHPING_OK)
        fail_msg("%s: %s", text, err.message);
    assert_memory_equal(got.key, expected.key, sizeof got.key);
    assert_memory_equal(got.pin, expected.pin, sizeof got.pin);
    assert_string_equal(got.host, expected.host);
    assert_int_equal(got.port, expected.port);
}

/* True when 5 characters of the passphrase in a row are in the message. */
static bool leaks(const char *message, const char *text)
{
    char part[6];
    size_t length = strlen(text);
    for (size_t i = 3; i + 5 <= length; i++) {
        memcpy(part, text + i, 5);
        part[5] = '\0';
        if (!strchr(part, '-') && !strchr(part, ' ') && strstr(message, part))
            return true;
    }
    return false;
}

/* Refused as INVALID with `words` in the message, which gives nothing of the passphrase away. */
static void assert_refused(const char *text, const char *words)
{
    meshping_error err = {0};
    meshping_passphrase got;
    if (meshping_passphrase_decode(&got, text, &err) != MESHPING_INVALID)
        fail_msg("accepted: %s", text);
    if (!strstr(err.message, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, words);
    assert_false(leaks(err.message, text));
}

static size_t digits_of(const char *text)
{
    size_t count = 0;
    for (text += 3; *text; text++)
        count += *text != '-';
    return count;
}

/* The number of the group, from 1, of the character at `at` of an encoded passphrase. */
static size_t group_at(const char *text, size_t at)
{
    size_t group = 0;
    for (size_t i = 0; i < at; i++)
        group += text[i] == '-';
    return group;
}

static void test_it_reads_back_what_was_written(void **unused)
{
    (void)unused;
    static const char *const hosts[] = {
        "192.0.2.1", "255.255.255.255",       "2001:db8::1",        "::1", "fe80::1", "server.example",
        "a",         "xn--bcher-kva.example", "under_score.example"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[MESHPING_PASSPHRASE_TEXT_MAX];
        encode(text, hosts[i]);
        assert_reads(text, hosts[i]);
    }
}

static void test_an_ipv4_servers_passphrase_has_72_characters_in_groups_of_six(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX];
    encode(text, "192.0.2.1");
    assert_int_equal(digits_of(text), 72);
    assert_memory_equal(text, "MP1-", 4);
    assert_int_equal(strlen(text), 3 + 72 + 12);
    for (size_t i = 3; i < strlen(text); i++)
        assert_int_equal(text[i] == '-', (i - 3) % 7 == 0);
}

static void test_the_longest_host_name_fits(void **unused)
{
    (void)unused;
    char host[MESHPING_HOST_MAX], text[MESHPING_PASSPHRASE_TEXT_MAX];
    memset(host, 'x', sizeof host);
    for (size_t i = 63; i < sizeof host; i += 64)
        host[i] = '.';
    host[sizeof host - 1] = '\0';
    assert_int_equal(strlen(host), 253);
    encode(text, host);
    assert_true(strlen(text) < MESHPING_PASSPHRASE_TEXT_MAX);
    assert_reads(text, host);
}

/* docs/PROTOCOL.md, Test vectors. */
static void test_the_documents_passphrase(void **unused)
{
    (void)unused;
    static const char vector[] =
        "MP1-200020-G30G2G-C1R814-50P30D-1R7NQP-XWBZ4T-5DYWFW-S3QRB2-ZPHK2N-F7AY2H-TQFQG7-6NQGA4";
    static const uint8_t tid[MESHPING_TID_LEN] = {0xf0, 0x34, 0x28, 0xa7, 0x5c, 0xa9, 0x9b, 0x3c};
    char text[MESHPING_PASSPHRASE_TEXT_MAX];
    uint8_t got[MESHPING_TID_LEN];
    meshping_passphrase sample = sample_of("192.0.2.1");
    encode(text, "192.0.2.1");
    assert_string_equal(text, vector);
    assert_reads(vector, "192.0.2.1");
    assert_int_equal(meshping_passphrase_tid(got, sample.key), MESHPING_OK);
    assert_memory_equal(got, tid, sizeof tid);
    char *document = document_read("docs/PROTOCOL.md");
    assert_non_null(document);
    assert_true(document_has(document, vector));
    free(document);
}

static void test_a_host_is_written_in_its_canonical_form(void **unused)
{
    (void)unused;
    static const struct {
        const char *given, *canonical;
    } hosts[] = {
        {"Server.Example.", "server.example"}, {"2001:DB8:0:0::1", "2001:db8::1"}, {"::ffff:192.0.2.1", "192.0.2.1"}};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[MESHPING_PASSPHRASE_TEXT_MAX];
        encode(text, hosts[i].given);
        assert_reads(text, hosts[i].canonical);
    }
}

static void test_a_host_that_others_cannot_reach_by_is_refused(void **unused)
{
    (void)unused;
    static const char *const hosts[] = {"", "fe80::1%eth0", "256.1.1.1", "10.1", "a b", "server:8443", "[::1]"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[MESHPING_PASSPHRASE_TEXT_MAX];
        meshping_error err = {0};
        meshping_passphrase sample = sample_of(hosts[i]);
        assert_int_equal(meshping_passphrase_encode(text, &sample, &err), MESHPING_INVALID);
        assert_true(err.message[0]);
        assert_string_equal(text, "");
    }
}

static void test_port_0_is_refused(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX];
    meshping_error err = {0};
    meshping_passphrase sample = sample_of("192.0.2.1");
    sample.port = 0;
    assert_int_equal(meshping_passphrase_encode(text, &sample, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "port"));
}

static void test_case_space_and_look_alikes_do_not_matter(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], typed[4 * MESHPING_PASSPHRASE_TEXT_MAX];
    encode(text, "192.0.2.1");
    assert_true(strpbrk(text + 3, "1") && strpbrk(text + 3, "0")); /* or the rest shows nothing */

    for (size_t i = 0; i <= strlen(text); i++)
        typed[i] = (char)tolower((unsigned char)text[i]);
    assert_reads(typed, "192.0.2.1");

    for (size_t i = 0; i <= strlen(text); i++)
        typed[i] = (char)(text[i] == '1' ? "Iil L"[i % 3] : text[i] == '0' ? "Oo"[i % 2] : text[i]);
    assert_reads(typed, "192.0.2.1");
    for (size_t i = 0; i <= strlen(text); i++)
        typed[i] = (char)(text[i] == '1' ? 'L' : text[i]);
    assert_reads(typed, "192.0.2.1");

    char *at = typed;
    at += sprintf(at, " \t\r\n");
    for (size_t i = 0; text[i]; i++)
        at += sprintf(at, i < 3 ? "%c" : text[i] == '-' ? " - " : "%c ", text[i]);
    sprintf(at, "\r\n");
    assert_reads(typed, "192.0.2.1");

    at = typed;
    for (size_t i = 0; text[i]; i++)
        if (text[i] != '-')
            *at++ = text[i];
    *at = '\0';
    assert_reads(typed, "192.0.2.1");
}

static void test_every_single_changed_character_is_refused_and_its_group_named(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], typed[MESHPING_PASSPHRASE_TEXT_MAX], words[64];
    size_t length, tried = 0;
    encode(text, "192.0.2.1");
    length = strlen(text);
    for (size_t i = 4; i < length; i++) {
        for (size_t k = 1 + i % 6; text[i] != '-' && k < 32; k += 6) { /* a sixth of all, each place with its own */
            size_t digit = (size_t)(strchr(alphabet, text[i]) - alphabet);
            snprintf(typed, sizeof typed, "%s", text);
            typed[i] = alphabet[(digit + k) % 32];
            snprintf(words, sizeof words, "group %zu ", group_at(text, i));
            assert_refused(typed, words);
            tried++;
        }
    }
    assert_true(tried >= 72 * 5);
}

static void test_every_swap_of_neighbours_is_refused_and_its_group_named(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], typed[MESHPING_PASSPHRASE_TEXT_MAX], words[64];
    size_t tried = 0;
    encode(text, "192.0.2.1");
    for (size_t i = 4; text[i + 1]; i++) {
        size_t next = text[i + 1] == '-' ? i + 2 : i + 1; /* also over the dash */
        if (text[i] == '-' || text[i] == text[next])
            continue;
        snprintf(typed, sizeof typed, "%s", text);
        typed[i] = text[next];
        typed[next] = text[i];
        snprintf(words, sizeof words, "swapped in group %zu", group_at(text, i));
        assert_refused(typed, words);
        tried++;
    }
    assert_true(tried > 55);
}

static void test_a_mistake_is_found_without_any_dash_too(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], typed[MESHPING_PASSPHRASE_TEXT_MAX];
    encode(text, "192.0.2.1");
    text[30] = text[30] == 'Z' ? 'Y' : 'Z';
    char *at = typed;
    for (size_t i = 0; text[i]; i++)
        if (text[i] != '-')
            *at++ = text[i];
    *at = '\0';
    assert_refused(typed, "group 4 of the passphrase has a wrong character");
}

static void test_a_group_of_the_wrong_length_is_named(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], typed[MESHPING_PASSPHRASE_TEXT_MAX], words[64];
    encode(text, "192.0.2.1");
    for (size_t group = 1; group <= 12; group++) {
        size_t start = 4 + (group - 1) * 7;
        snprintf(words, sizeof words, "group %zu of the passphrase does not have 6", group);
        snprintf(typed, sizeof typed, "%.*sX%s", (int)start + 2, text, text + start + 2);
        assert_refused(typed, words);
        /* the last group may be short in a passphrase of another length, so it cannot be told */
        snprintf(typed, sizeof typed, "%.*s%s", (int)start + 2, text, text + start + 3);
        assert_refused(typed, group < 12 ? words : "cut short");
    }
}

static void test_a_passphrase_cut_at_any_place_is_refused(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], typed[MESHPING_PASSPHRASE_TEXT_MAX];
    encode(text, "server.example");
    for (size_t length = 0; length < strlen(text); length += 5) {
        snprintf(typed, sizeof typed, "%.*s", (int)length, text);
        assert_refused(typed, length < 3 ? "starts with MP1-" : "passphrase");
    }
}

static void test_what_is_no_passphrase_is_told_apart(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX], typed[2 * MESHPING_PASSPHRASE_TEXT_MAX];
    encode(text, "192.0.2.1");
    assert_refused("", "starts with MP1-");
    assert_refused("hunter2", "starts with MP1-");
    assert_refused("MP1-", "cut short");
    snprintf(typed, sizeof typed, "MP2%s", text + 3);
    assert_refused(typed, "newer format");
    snprintf(typed, sizeof typed, "%s", text);
    typed[20] = 'U';
    assert_refused(typed, "a character that none has, in group 3");
    typed[20] = (char)0xe2;
    assert_refused(typed, "a character that none has, in group 3");
    memset(typed, '7', sizeof typed);
    memcpy(typed, "MP1-", 4);
    typed[sizeof typed - 1] = '\0';
    assert_refused(typed, "too long");
}

static void test_two_mistakes_are_refused_without_naming_a_place(void **unused)
{
    (void)unused;
    char text[MESHPING_PASSPHRASE_TEXT_MAX];
    encode(text, "192.0.2.1");
    text[5] = text[5] == 'Z' ? 'Y' : 'Z';
    text[60] = text[60] == 'Z' ? 'Y' : 'Z';
    assert_refused(text, "more than one place");
}

static void test_each_key_has_its_own_tid(void **unused)
{
    (void)unused;
    meshping_passphrase a = sample_of("192.0.2.1"), b = a;
    uint8_t tid_a[MESHPING_TID_LEN], tid_b[MESHPING_TID_LEN];
    b.key[15] ^= 1;
    assert_int_equal(meshping_passphrase_tid(tid_a, a.key), MESHPING_OK);
    assert_int_equal(meshping_passphrase_tid(tid_b, b.key), MESHPING_OK);
    assert_memory_not_equal(tid_a, tid_b, sizeof tid_a);
    assert_memory_not_equal(tid_a, a.key, sizeof tid_a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_reads_back_what_was_written),
        cmocka_unit_test(test_an_ipv4_servers_passphrase_has_72_characters_in_groups_of_six),
        cmocka_unit_test(test_the_longest_host_name_fits),
        cmocka_unit_test(test_the_documents_passphrase),
        cmocka_unit_test(test_a_host_is_written_in_its_canonical_form),
        cmocka_unit_test(test_a_host_that_others_cannot_reach_by_is_refused),
        cmocka_unit_test(test_port_0_is_refused),
        cmocka_unit_test(test_case_space_and_look_alikes_do_not_matter),
        cmocka_unit_test(test_every_single_changed_character_is_refused_and_its_group_named),
        cmocka_unit_test(test_every_swap_of_neighbours_is_refused_and_its_group_named),
        cmocka_unit_test(test_a_mistake_is_found_without_any_dash_too),
        cmocka_unit_test(test_a_group_of_the_wrong_length_is_named),
        cmocka_unit_test(test_a_passphrase_cut_at_any_place_is_refused),
        cmocka_unit_test(test_what_is_no_passphrase_is_told_apart),
        cmocka_unit_test(test_two_mistakes_are_refused_without_naming_a_place),
        cmocka_unit_test(test_each_key_has_its_own_tid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
