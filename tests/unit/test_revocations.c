/* SPDX-License-Identifier: Apache-2.0 */
#include <meshpingd/revocations.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const uint8_t one[32] = {1}, two[32] = {2}, tid[8] = {1};

static int make_directory(void **state)
{
    char *path = strdup("/tmp/meshping-test-XXXXXX");
    *state = path;
    return mkdtemp(path) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char path[64];
    snprintf(path, sizeof path, "%s/revocations", (char *)*state);
    unlink(path);
    int left = rmdir(*state);
    free(*state);
    return left;
}

static revocations read_back(const char *directory)
{
    revocations r;
    meshping_error err = {0};
    if (revocations_open(&r, directory, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return r;
}

static void test_the_last_word_counts_also_after_a_restart(void **state)
{
    revocations r = read_back(*state);
    assert_int_equal(r.count, 0);
    assert_int_equal(revocations_add(&r, REVOCATION_BLACKLIST, one, 32, 1000, NULL), MESHPING_OK);
    assert_int_equal(revocations_add(&r, REVOCATION_BLACKLIST, two, 32, 1001, NULL), MESHPING_OK);
    assert_int_equal(revocations_add(&r, REVOCATION_REINSTATE, one, 32, 1002, NULL), MESHPING_OK);
    assert_int_equal(revocations_add(&r, REVOCATION_REVOKE, tid, 8, 1003, NULL), MESHPING_OK);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(r.count, 3);
        assert_true(revocations_has(&r, REVOCATION_REINSTATE, one, 32));
        assert_false(revocations_has(&r, REVOCATION_BLACKLIST, one, 32));
        assert_true(revocations_has(&r, REVOCATION_BLACKLIST, two, 32));
        assert_true(revocations_has(&r, REVOCATION_REVOKE, tid, 8));
        assert_false(revocations_has(&r, REVOCATION_RETIRE, two, 32));
        revocations_dispose(&r);
        r = read_back(*state);
    }
    revocations_dispose(&r);
}

static void test_a_changed_key_is_known_by_its_old_one(void **state)
{
    static const uint8_t three[32] = {3};
    revocations r = read_back(*state);
    assert_null(revocations_new_key(&r, one));
    assert_int_equal(revocations_rekey(&r, one, two, 1000, NULL), MESHPING_OK);
    assert_int_equal(revocations_rekey(&r, two, three, 1001, NULL), MESHPING_OK);
    assert_int_equal(revocations_add(&r, REVOCATION_BLACKLIST, one, 32, 1002, NULL), MESHPING_OK);
    for (int again = 0; again < 2; again++) {
        assert_memory_equal(revocations_new_key(&r, one), two, 32);
        assert_memory_equal(revocations_new_key(&r, two), three, 32);
        assert_null(revocations_new_key(&r, three));
        assert_true(revocations_has(&r, REVOCATION_BLACKLIST, one, 32)); /* one word does not replace the other */
        revocations_dispose(&r);
        r = read_back(*state);
    }
    assert_int_equal(revocations_rekey(&r, two, two, 1003, NULL), MESHPING_OK); /* taken back */
    assert_null(revocations_new_key(&r, two));
    assert_memory_equal(revocations_new_key(&r, one), two, 32);
    revocations_dispose(&r);
}

static void test_the_file_is_the_owners_alone(void **state)
{
    struct stat st;
    revocations r = read_back(*state);
    assert_int_equal(revocations_add(&r, REVOCATION_BLACKLIST, one, 32, 1000, NULL), MESHPING_OK);
    assert_int_equal(stat(r.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    revocations_dispose(&r);
}

static void test_a_damaged_line_costs_nobody_else_his_place(void **state)
{
    static const char hex[] = "0200000000000000000000000000000000000000000000000000000000000000";
    char path[64];
    snprintf(path, sizeof path, "%s/revocations", (char *)*state);
    FILE *file = fopen(path, "w");
    fprintf(file, "garbage\n5 blacklist %s0\n5 blacklist %.62s\n5 banish %s\n5 revoke %s\n\n5 blacklist %s\n", hex, hex,
            hex, hex, hex);
    for (int i = 0; i < 1000; i++)
        fputc('x', file);                                      /* a line without an end */
    fprintf(file, "\n5 retire 01%s\n5 blacklist 01", hex + 2); /* and half of one, as after a power cut */
    fclose(file);
    revocations r = read_back(*state);
    assert_true(revocations_has(&r, REVOCATION_BLACKLIST, two, 32));
    assert_true(revocations_has(&r, REVOCATION_RETIRE, one, 32));
    assert_int_equal(r.count, 2);
    assert_int_equal(revocations_add(&r, REVOCATION_REINSTATE, two, 32, 9, NULL), MESHPING_OK);
    revocations_dispose(&r);
    r = read_back(*state); /* the new line was not joined to the half one */
    assert_true(revocations_has(&r, REVOCATION_REINSTATE, two, 32));
    revocations_dispose(&r);
}

static void test_what_cannot_be_written_changes_nothing(void **state)
{
    meshping_error err = {0};
    revocations r = read_back(*state);
    snprintf(r.path, sizeof r.path, "%s/nowhere/revocations", (char *)*state);
    assert_int_equal(revocations_add(&r, REVOCATION_BLACKLIST, one, 32, 1000, &err), MESHPING_IO);
    assert_non_null(strstr(err.message, "nowhere"));
    assert_int_equal(revocations_add(&r, REVOCATION_REVOKE, one, 32, 1000, &err), MESHPING_INVALID);
    assert_int_equal(r.count, 0);
    revocations_dispose(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_last_word_counts_also_after_a_restart, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_a_changed_key_is_known_by_its_old_one, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_the_file_is_the_owners_alone, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_a_damaged_line_costs_nobody_else_his_place, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_written_changes_nothing, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
