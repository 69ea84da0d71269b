/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/seal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[SEAL_KEY_LEN] = {1, 2, 3};
static const char secret[] = "secret of smtp";
#define SECRET_LEN (sizeof secret - 1)

static void test_what_is_sealed_is_not_to_be_read_and_opens_again(void **unused)
{
    (void)unused;
    uint8_t sealed[SECRET_LEN + SEAL_OVERHEAD], again[sizeof sealed], open[SECRET_LEN];
    assert_true(seal_close(sealed, key, "a", 1, secret, SECRET_LEN));
    assert_true(seal_close(again, key, "a", 1, secret, SECRET_LEN));
    assert_memory_not_equal(sealed, again, sizeof sealed);
    assert_null(memmem(sealed, sizeof sealed, secret, 4));
    assert_true(seal_open(open, key, "a", 1, sealed, sizeof sealed));
    assert_memory_equal(open, secret, SECRET_LEN);
}

static void test_it_opens_with_no_other_key_name_length_or_byte(void **unused)
{
    (void)unused;
    uint8_t sealed[SECRET_LEN + SEAL_OVERHEAD], open[SECRET_LEN], other[SEAL_KEY_LEN] = {1, 2, 4};
    assert_true(seal_close(sealed, key, "a", 1, secret, SECRET_LEN));
    assert_false(seal_open(open, other, "a", 1, sealed, sizeof sealed));
    assert_false(seal_open(open, key, "b", 1, sealed, sizeof sealed));
    for (size_t length = 0; length < sizeof sealed; length++)
        assert_false(seal_open(open, key, "a", 1, sealed, length));
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        assert_false(seal_open(open, key, "a", 1, sealed, sizeof sealed));
        sealed[i] ^= 1;
    }
    assert_true(seal_open(open, key, "a", 1, sealed, sizeof sealed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_sealed_is_not_to_be_read_and_opens_again),
        cmocka_unit_test(test_it_opens_with_no_other_key_name_length_or_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
