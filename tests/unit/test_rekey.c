/* SPDX-License-Identifier: Apache-2.0 */
#include "core/crypto.h"
#include "document.h"
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t old_seed[MESHPING_KEY_LEN], new_seed[MESHPING_KEY_LEN], nonce[MESHPING_NONCE_LEN];
static uint8_t old_key[MESHPING_KEY_LEN];

/* All bytes are counted up, as in docs/PROTOCOL.md, Test vectors. */
static meshping_binding sample_binding(void)
{
    meshping_binding binding = {.server_id = 0x1122334455667788};
    for (size_t i = 0; i < 32; i++) {
        old_seed[i] = (uint8_t)(0x20 + i);
        binding.ekm[i] = (uint8_t)(0x40 + i);
        binding.nonce_s[i] = (uint8_t)(0x60 + i);
        nonce[i] = (uint8_t)(0xa0 + i);
        new_seed[i] = (uint8_t)(0xe0 + i);
    }
    assert_int_equal(meshping_identity_public(old_key, old_seed), MESHPING_OK);
    return binding;
}

static meshping_rekey make(const meshping_binding *binding)
{
    meshping_rekey rekey;
    meshping_error err = {0};
    if (meshping_rekey_make(&rekey, binding, nonce, old_seed, new_seed, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return rekey;
}

static void assert_refused(const meshping_rekey *rekey, const meshping_binding *binding, const char *words)
{
    meshping_error err = {0};
    assert_int_equal(meshping_rekey_check(rekey, binding, nonce, old_key, &err), MESHPING_CRYPTO);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void test_the_server_takes_what_the_agent_made(void **unused)
{
    (void)unused;
    uint8_t expected[MESHPING_KEY_LEN];
    meshping_binding binding = sample_binding();
    meshping_rekey rekey = make(&binding);
    assert_int_equal(meshping_rekey_check(&rekey, &binding, nonce, old_key, NULL), MESHPING_OK);
    assert_int_equal(meshping_identity_public(expected, new_seed), MESHPING_OK);
    assert_memory_equal(rekey.public_key, expected, sizeof expected);
    memset(binding.nonce_a, 7, sizeof binding.nonce_a); /* neither this nor the handshake's key counts */
    memset(binding.public_key, 7, sizeof binding.public_key);
    assert_int_equal(meshping_rekey_check(&rekey, &binding, nonce, old_key, NULL), MESHPING_OK);
}

static void test_it_is_good_on_this_connection_and_for_this_request_only(void **unused)
{
    (void)unused;
    const meshping_binding binding = sample_binding();
    const meshping_rekey rekey = make(&binding);
    meshping_binding other = binding;
    other.server_id++;
    assert_refused(&rekey, &other, "old key's signature");
    other = binding;
    other.ekm[31] ^= 1;
    assert_refused(&rekey, &other, "old key's signature");
    other = binding;
    other.nonce_s[0] ^= 1;
    assert_refused(&rekey, &other, "old key's signature");
    nonce[5] ^= 1;
    assert_refused(&rekey, &binding, "old key's signature");
    nonce[5] ^= 1;
    old_key[0] ^= 1;
    assert_refused(&rekey, &binding, "old key's signature");
}

static void test_both_keys_must_have_signed(void **unused)
{
    (void)unused;
    const meshping_binding binding = sample_binding();
    const meshping_rekey good = make(&binding);
    for (int which = 0; which < 2; which++)
        for (size_t byte = 0; byte < MESHPING_SIGNATURE_LEN; byte++) {
            meshping_rekey rekey = good;
            (which ? rekey.new_signature : rekey.old_signature)[byte] ^= 0x10;
            assert_refused(&rekey, &binding, which ? "new key's signature" : "old key's signature");
        }
    meshping_rekey rekey = good;
    memcpy(rekey.new_signature, good.old_signature, sizeof good.old_signature);
    assert_refused(&rekey, &binding, "new key's signature");
    rekey = good;
    memcpy(rekey.old_signature, good.new_signature, sizeof good.new_signature);
    assert_refused(&rekey, &binding, "old key's signature");
    rekey = good;
    rekey.public_key[3] ^= 1; /* somebody else's */
    assert_refused(&rekey, &binding, "old key's signature");
}

static void test_the_old_key_and_keys_of_small_order_are_no_new_keys(void **unused)
{
    (void)unused;
    const meshping_binding binding = sample_binding();
    meshping_rekey rekey;
    assert_int_equal(meshping_rekey_make(&rekey, &binding, nonce, old_seed, old_seed, NULL), MESHPING_OK);
    assert_refused(&rekey, &binding, "is the old one");
    for (uint8_t y = 0; y < 2; y++) {
        rekey = make(&binding);
        memset(rekey.public_key, 0, sizeof rekey.public_key);
        rekey.public_key[0] = y;
        assert_refused(&rekey, &binding, "small order");
        rekey.public_key[31] = 0x80;
        assert_refused(&rekey, &binding, "small order");
    }
}

static void assert_hex(const uint8_t *data, size_t length, const char *hex)
{
    char text[2 * 64 + 1] = "";
    for (size_t i = 0; i < length; i++)
        sprintf(text + 2 * i, "%02x", data[i]);
    assert_string_equal(text, hex);
    char *document = document_read("docs/PROTOCOL.md");
    assert_non_null(document);
    assert_true(document_has(document, hex));
    free(document);
}

/* Made by Python's cryptography from docs/PROTOCOL.md's words. */
static void test_the_documents_vector(void **unused)
{
    (void)unused;
    const meshping_binding binding = sample_binding();
    meshping_rekey rekey = make(&binding);
    assert_hex(rekey.public_key, 32, "13d9908a70925992ed546007d27f50da68ba7217ef62ac3cca784529ff10471c");
    assert_hex(rekey.old_signature, 64,
               "fbe349a5d0595a2473ed18dc2901bef3434436f047babbfb6162adfa72c565f3a8470874dd6d77c58058fb7f88"
               "07efe88f53213558bf0733d04cd5a44a90e002");
    assert_hex(rekey.new_signature, 64,
               "22a7dea569f506eb150584747ddabb380dbe1976cdd8dda78798a242e164da048cb93e5e2d11d68336700e7fcc"
               "d2bc2b08a97e6936446a8210d75d4c2f602006");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_server_takes_what_the_agent_made),
        cmocka_unit_test(test_it_is_good_on_this_connection_and_for_this_request_only),
        cmocka_unit_test(test_both_keys_must_have_signed),
        cmocka_unit_test(test_the_old_key_and_keys_of_small_order_are_no_new_keys),
        cmocka_unit_test(test_the_documents_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
