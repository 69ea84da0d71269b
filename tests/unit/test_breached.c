/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords looked up in a list of breached ones, of files as they come and as they should not be. */
#include "meshpingd/breached.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#define WORDS 999

static char folder[] = "/tmp/test_breached_XXXXXX", path[64];

typedef struct entry {
    char hex[41], word[24];
} entry;

static entry entries[WORDS]; /* sorted by hash */

static int by_hash(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->hex, ((const entry *)b)->hex);
}

static int make_entries(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < WORDS; i++) {
        uint8_t hash[20];
        snprintf(entries[i].word, sizeof entries[i].word, "word number %u", i);
        EVP_Digest(entries[i].word, strlen(entries[i].word), hash, NULL, EVP_sha1(), NULL);
        for (size_t k = 0; k < sizeof hash; k++)
            snprintf(entries[i].hex + 2 * k, 3, "%02X", hash[k]);
    }
    qsort(entries, WORDS, sizeof *entries, by_hash);
    snprintf(path, sizeof path, "%s/list", mkdtemp(folder));
    return 0;
}

static int remove_folder(void **unused)
{
    (void)unused;
    unlink(path);
    return rmdir(folder);
}

static void write_bytes(const char *bytes, size_t length)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* Counts of all lengths, so that lines have them too. */
static size_t put_list(char *to, size_t first, size_t count, const char *end)
{
    static const char *const counts[] = {"1", "3861493", "17", "12345678901234567890", "204"};
    size_t length = 0;
    for (size_t i = first; i < first + count; i++)
        length += (size_t)sprintf(to + length, "%s:%s%s", entries[i].hex, counts[i % 5], end);
    return length;
}

static char text[WORDS * BREACHED_LINE_MAX + 1];

static void write_list(size_t first, size_t count, const char *end)
{
    write_bytes(text, put_list(text, first, count, end));
}

static bool has(const char *word)
{
    bool found = true;
    meshping_error err = {0};
    if (breached_find(&found, path, word, strlen(word), &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return found;
}

static void assert_good(void)
{
    breached_about about;
    meshping_error err = {0};
    if (breached_check(&about, path, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
}

/* Both say so, and nothing is found in it. */
static void assert_bad(meshping_status status, const char *why)
{
    bool found = true;
    breached_about about;
    meshping_error err = {0};
    assert_int_equal(breached_check(&about, path, &err), status);
    if (!strstr(err.message, why))
        fail_msg("\"%s\" does not say \"%s\"", err.message, why);
    assert_int_equal(breached_find(&found, path, "word number 1", 13, &err), status);
    assert_false(found);
}

static void test_every_word_of_a_list_is_found_and_no_other(void **unused)
{
    (void)unused;
    static const char *const ends[] = {"\n", "\r\n"};
    for (size_t k = 0; k < 2; k++) {
        write_list(0, WORDS, ends[k]);
        assert_good();
        for (size_t i = 0; i < WORDS; i++)
            if (!has(entries[i].word))
                fail_msg("%s (place %zu) is not found", entries[i].word, i);
        for (unsigned i = WORDS; i < 3 * WORDS; i++) {
            char word[24];
            snprintf(word, sizeof word, "word number %u", i);
            assert_false(has(word));
        }
    }
}

static void test_lists_of_every_small_size(void **unused)
{
    (void)unused;
    for (size_t count = 1; count < 70; count++) {
        write_list(1, count, "\n");
        assert_good();
        for (size_t i = 1; i <= count; i++)
            assert_true(has(entries[i].word));
        assert_false(has(entries[0].word));         /* before the first */
        assert_false(has(entries[count + 1].word)); /* after the last */
    }
}

static void test_the_last_line_may_have_no_end(void **unused)
{
    (void)unused;
    for (size_t count = 1; count < 4; count++) {
        size_t length = put_list(text, 0, count, "\n");
        write_bytes(text, length - 1);
        assert_good();
        for (size_t i = 0; i < count; i++)
            assert_true(has(entries[i].word));
    }
}

static void test_digits_of_either_case(void **unused)
{
    (void)unused;
    size_t length = put_list(text, 0, WORDS, "\n");
    for (size_t i = 0; i < length; i++) /* of every third line */
        if (i / 40 % 3 == 0 && text[i] >= 'A' && text[i] <= 'F')
            text[i] = (char)(text[i] - 'A' + 'a');
    write_bytes(text, length);
    assert_good();
    for (size_t i = 0; i < WORDS; i++)
        assert_true(has(entries[i].word));
}

static void test_a_word_is_found_as_have_i_been_pwned_has_it(void **unused)
{
    (void)unused;
    static const char line[] = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:10434004\r\n";
    write_bytes(line, sizeof line - 1);
    assert_true(has("password"));
    assert_false(has("Password"));
}

static void test_what_is_no_file_is_told(void **unused)
{
    (void)unused;
    unlink(path);
    assert_bad(MESHPING_IO, "cannot be opened: No such file");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_bad(MESHPING_IO, "not a file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_bad(MESHPING_IO, "not a file");
    unlink(path);
    if (geteuid() != 0) { /* root reads all */
        write_list(0, 3, "\n");
        assert_int_equal(chmod(path, 0), 0);
        assert_bad(MESHPING_IO, "Permission denied");
        unlink(path);
    }
}

static void test_an_empty_file_is_no_list(void **unused)
{
    (void)unused;
    write_bytes("", 0);
    assert_bad(MESHPING_CORRUPT, "empty");
}

static void test_a_file_that_is_cut_off_is_told_wherever_that_was(void **unused)
{
    (void)unused;
    breached_about about;
    meshping_error err;
    size_t length, before = put_list(text, 0, 19, "\n");
    length = put_list(text, 0, 20, "\n");
    for (size_t cut = before + 1; cut < length; cut++) {
        bool in_the_count = cut > before + 41; /* as good as whole: no hash is missing */
        write_bytes(text, cut);
        meshping_status status = breached_check(&about, path, &err);
        assert_int_equal(status, in_the_count ? MESHPING_OK : MESHPING_CORRUPT);
        if (status != MESHPING_OK)
            assert_non_null(strstr(err.message, "cut off"));
    }
}

static void test_another_format_is_told(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8\n",                          /* no count */
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:\n",                         /* likewise */
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8: 1\n",                       /* a blank */
        "8846F7EAEE8FB117AD06BDD830B7586C:10434004\n",                         /* NTLM */
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FDG:1\n",                        /* no digit */
        "\n",                                                                  /* nothing */
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:123456789012345678901234\n", /* too long */
        "\xef\xbb\xbf"
        "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:1\n",
        "password1234\npassword12345\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_bytes(bad[i], strlen(bad[i]));
        assert_bad(MESHPING_CORRUPT, "is no line of");
    }
    static const char more[] = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:1\n\n"; /* a line of nothing at the end */
    breached_about about;
    write_bytes(more, sizeof more - 1);
    assert_int_equal(breached_check(&about, path, NULL), MESHPING_CORRUPT);
    memset(text, 'A', 5000); /* no line ends anywhere */
    write_bytes(text, 5000);
    assert_bad(MESHPING_CORRUPT, "byte");
}

/* As the list that is ordered by how often a password was seen. */
static void test_a_list_in_another_order_is_told(void **unused)
{
    (void)unused;
    size_t length = 0;
    for (size_t i = 0; i < WORDS; i++)
        length += (size_t)sprintf(text + length, "%s:1\n", entries[i * 500 % WORDS].hex);
    write_bytes(text, length);
    assert_bad(MESHPING_CORRUPT, "not sorted by hash, at byte");
    /* twice the same */
    length = (size_t)sprintf(text, "%s:1\n%s:2\n", entries[0].hex, entries[0].hex);
    write_bytes(text, length);
    breached_about about;
    assert_int_equal(breached_check(&about, path, NULL), MESHPING_CORRUPT);
}

/* The check sees places only; a search that comes by says so, and does not say "not found". */
static void test_a_search_tells_of_an_unsorted_place_that_it_comes_by(void **unused)
{
    (void)unused;
    size_t found = 0, told = 0, length = put_list(text, 0, WORDS, "\n");
    char *middle = memchr(text + length / 2, '\n', length);
    memset(middle + 1, 'F', 40);
    write_bytes(text, length);
    for (size_t i = 0; i < WORDS; i++) {
        bool has_it;
        meshping_error err = {0};
        meshping_status status = breached_find(&has_it, path, entries[i].word, strlen(entries[i].word), &err);
        if (status == MESHPING_CORRUPT)
            told++;
        else
            found += has_it;
    }
    /* but for the word that was written over, none is missed without a word */
    assert_in_range(found + told, WORDS - 1, WORDS);
    assert_true(told > 0);
}

static void test_a_part_of_a_list_is_known_by_its_ends(void **unused)
{
    (void)unused;
    static const struct {
        const char *first, *last;
        bool partial;
    } cases[] = {{"00000", "FFFFF", false}, {"00001", "FFFFF", true}, {"00000", "FFFFE", true},
                 {"00000", "7FFFF", true},  {"10000", "FFFFF", true}, {"00000", "FFEFF", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        breached_about about;
        int length = sprintf(text, "%s%035d:1\n%s%035d:1\n", cases[i].first, 0, cases[i].last, 0);
        write_bytes(text, (size_t)length);
        assert_int_equal(breached_check(&about, path, NULL), MESHPING_OK);
        assert_int_equal(about.bytes, length);
        assert_int_equal(breached_is_partial(&about), cases[i].partial);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_word_of_a_list_is_found_and_no_other),
        cmocka_unit_test(test_lists_of_every_small_size),
        cmocka_unit_test(test_the_last_line_may_have_no_end),
        cmocka_unit_test(test_digits_of_either_case),
        cmocka_unit_test(test_a_word_is_found_as_have_i_been_pwned_has_it),
        cmocka_unit_test(test_what_is_no_file_is_told),
        cmocka_unit_test(test_an_empty_file_is_no_list),
        cmocka_unit_test(test_a_file_that_is_cut_off_is_told_wherever_that_was),
        cmocka_unit_test(test_another_format_is_told),
        cmocka_unit_test(test_a_list_in_another_order_is_told),
        cmocka_unit_test(test_a_search_tells_of_an_unsorted_place_that_it_comes_by),
        cmocka_unit_test(test_a_part_of_a_list_is_known_by_its_ends),
    };
    return cmocka_run_group_tests(tests, make_entries, remove_folder);
}
