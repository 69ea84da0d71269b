/* SPDX-License-Identifier: Apache-2.0 */
#include "core/crypto.h"
#include "core/json.h"
#include "document.h"
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const meshping_agent_info sample_info = {
    .host_name = "agent-1.example", .address = "192.0.2.7", .version = "0.1.0", .epoch = 0x0123456789abcdef};

static uint8_t seed[MESHPING_KEY_LEN], passphrase_key[MESHPING_PASSPHRASE_KEY_LEN];

/* What both ends have in common: all bytes are counted up, as in docs/PROTOCOL.md, Test vectors. */
static meshping_binding sample_binding(void)
{
    meshping_binding binding = {.server_id = 0x1122334455667788};
    for (size_t i = 0; i < 32; i++) {
        seed[i] = (uint8_t)(0x20 + i);
        binding.ekm[i] = (uint8_t)(0x40 + i);
        binding.nonce_s[i] = (uint8_t)(0x60 + i);
        binding.nonce_a[i] = (uint8_t)(0x80 + i);
    }
    for (size_t i = 0; i < sizeof passphrase_key; i++)
        passphrase_key[i] = (uint8_t)i;
    assert_int_equal(meshping_identity_public(binding.public_key, seed), MESHPING_OK);
    return binding;
}

/* The server knows neither nonce_a nor the key beforehand: it takes them from the handshake. */
static meshping_binding server_side(const meshping_binding *binding)
{
    meshping_binding server = *binding;
    memset(server.nonce_a, 0xee, sizeof server.nonce_a);
    memset(server.public_key, 0xee, sizeof server.public_key);
    return server;
}

static meshping_handshake make(bool enrol, const meshping_binding *binding)
{
    meshping_handshake handshake;
    meshping_error err = {0};
    meshping_status status =
        enrol ? meshping_handshake_enrol(&handshake, binding, seed, passphrase_key, &sample_info, &err)
              : meshping_handshake_resume(&handshake, binding, seed, NULL, &sample_info, &err);
    if (status != MESHPING_OK)
        fail_msg("%s", err.message);
    return handshake;
}

static void assert_refused(const meshping_handshake *handshake, const meshping_binding *binding, const uint8_t *key,
                           const char *words)
{
    meshping_agent_info info;
    meshping_error err = {0};
    assert_int_equal(meshping_handshake_open(&info, handshake, binding, key, &err), MESHPING_CRYPTO);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void assert_opens(bool enrol)
{
    meshping_binding binding = sample_binding(), server = server_side(&binding);
    meshping_handshake handshake = make(enrol, &binding);
    meshping_agent_info info;
    meshping_error err = {0};
    if (meshping_handshake_open(&info, &handshake, &server, enrol ? passphrase_key : NULL, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    assert_string_equal(info.host_name, sample_info.host_name);
    assert_string_equal(info.address, sample_info.address);
    assert_string_equal(info.advertise, sample_info.advertise);
    assert_string_equal(info.version, sample_info.version);
    assert_true(info.epoch == sample_info.epoch);
}

static void test_the_server_opens_what_the_agent_made(void **unused)
{
    (void)unused;
    assert_opens(true);
    assert_opens(false);
}

static void test_it_survives_the_wire(void **unused)
{
    (void)unused;
    for (int enrol = 0; enrol < 2; enrol++) {
        meshping_binding binding = sample_binding();
        meshping_message sent = {.event = MESHPING_EVENT_HANDSHAKE, .u.handshake = make(enrol, &binding)}, got;
        meshping_agent_info info;
        char *text;
        size_t length;
        assert_int_equal(meshping_message_encode(&text, &length, &sent, NULL), MESHPING_OK);
        assert_true(length <= MESHPING_HELLO_MAX);
        assert_int_equal(meshping_message_decode(&got, text, length, NULL), MESHPING_OK);
        assert_int_equal(meshping_handshake_open(&info, &got.u.handshake, &binding, passphrase_key, NULL), MESHPING_OK);
        meshping_free(text);
        meshping_message_dispose(&got);
    }
}

static void test_an_enrolment_hides_the_info_from_who_lacks_the_passphrase(void **unused)
{
    (void)unused;
    meshping_binding binding = sample_binding();
    meshping_handshake handshake = make(true, &binding);
    assert_null(memmem(handshake.info, handshake.info_length, "agent", 5));
    uint8_t other[MESHPING_PASSPHRASE_KEY_LEN] = {1};
    assert_refused(&handshake, &binding, other, "passphrase's key");
    assert_refused(&handshake, &binding, NULL, "too short");
}

static void test_the_same_info_is_never_encrypted_alike_twice(void **unused)
{
    (void)unused;
    meshping_binding binding = sample_binding();
    meshping_handshake first = make(true, &binding);
    uint8_t *const changed[] = {binding.ekm, binding.nonce_s, binding.nonce_a};
    for (size_t i = 0; i < 3; i++) {
        changed[i][31] ^= 1;
        meshping_handshake second = make(true, &binding);
        assert_memory_not_equal(first.info, second.info, first.info_length);
        changed[i][31] ^= 1;
    }
}

/* Each bit of each field, and the length of the one that has a length. */
static void test_any_changed_bit_is_refused(void **unused)
{
    (void)unused;
    for (int enrol = 0; enrol < 2; enrol++) {
        meshping_binding binding = sample_binding();
        uint8_t ticket[MESHPING_TICKET_LEN] = {0, 0, 0, 0, 0, 0, 0, 7};
        meshping_handshake good = make(enrol, &binding), bad;
        if (!enrol)
            assert_int_equal(meshping_handshake_resume(&good, &binding, seed, ticket, &sample_info, NULL), MESHPING_OK);
        bad = good;
        const struct {
            uint8_t *bytes;
            size_t length;
        } fields[] = {{bad.tid, enrol ? sizeof bad.tid : 0},
                      {bad.ticket, bad.ticket_length},
                      {bad.public_key, sizeof bad.public_key},
                      {bad.nonce_a, sizeof bad.nonce_a},
                      {bad.info, bad.info_length},
                      {bad.signature, sizeof bad.signature}};
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            for (size_t bit = 0; bit < fields[i].length * 8; bit += 7) { /* in every byte, each bit in turn */
                fields[i].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
                assert_refused(&bad, &binding, passphrase_key, "signature");
                fields[i].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            }
        }
        bad.info_length--;
        assert_refused(&bad, &binding, passphrase_key, "signature");
        bad.info_length += 2;
        assert_refused(&bad, &binding, passphrase_key, "signature");
        bad.info_length = good.info_length;
        bad.ticket_length = 0; /* a ticket cannot be left out either */
        if (!enrol)
            assert_refused(&bad, &binding, passphrase_key, "signature");
        bad.ticket_length = good.ticket_length;
        bad.enrol = !enrol;
        assert_refused(&bad, &binding, passphrase_key, "signature");
    }
}

/* A relay in the middle, even one with the server's own key, has another TLS connection to each side. */
static void test_a_relayed_handshake_is_refused(void **unused)
{
    (void)unused;
    for (int enrol = 0; enrol < 2; enrol++) {
        meshping_binding binding = sample_binding();
        meshping_handshake handshake = make(enrol, &binding);
        meshping_binding other = binding;
        other.ekm[0] ^= 0x80;
        assert_refused(&handshake, &other, passphrase_key, "this connection");
        other = binding;
        other.nonce_s[31] ^= 1; /* played again on a later connection */
        assert_refused(&handshake, &other, passphrase_key, "this connection");
        other = binding;
        other.server_id ^= 1; /* meant for another server */
        assert_refused(&handshake, &other, passphrase_key, "this connection");
    }
}

static void test_who_holds_the_passphrase_cannot_take_anothers_key(void **unused)
{
    (void)unused;
    meshping_binding binding = sample_binding(), thief = binding;
    uint8_t own_seed[MESHPING_KEY_LEN] = {9};
    meshping_handshake handshake;
    assert_int_equal(meshping_handshake_enrol(&handshake, &thief, own_seed, passphrase_key, &sample_info, NULL),
                     MESHPING_OK);
    assert_refused(&handshake, &binding, passphrase_key, "signature");
}

static void put_field(uint8_t **at, const void *data, size_t length)
{
    *(*at)++ = (uint8_t)(length >> 8);
    *(*at)++ = (uint8_t)length;
    if (length)
        memcpy(*at, data, length);
    *at += length;
}

/* As the document has it, made by hand: label, version, server id, EKM, nonces, key, tid, info. */
static size_t transcript(uint8_t *out, const meshping_handshake *handshake, const meshping_binding *binding)
{
    uint8_t *at = out;
    put_field(&at, handshake->enrol ? "meshping/1 enrol" : "meshping/1 resume", handshake->enrol ? 16 : 17);
    put_field(&at, "\0\0\0\1", 4);
    put_field(&at, "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
    put_field(&at, binding->ekm, 32);
    put_field(&at, binding->nonce_s, 32);
    put_field(&at, handshake->nonce_a, 32);
    put_field(&at, handshake->public_key, 32);
    if (handshake->enrol)
        put_field(&at, handshake->tid, 8);
    else
        put_field(&at, handshake->ticket, handshake->ticket_length);
    put_field(&at, handshake->info, handshake->info_length);
    return (size_t)(at - out);
}

/* As the test has it, and docs/PROTOCOL.md too. */
static void assert_hex(const void *data, size_t length, const char *hex)
{
    char text[2 * 512 + 1] = "";
    assert_true(length <= 512);
    for (size_t i = 0; i < length; i++)
        sprintf(text + 2 * i, "%02x", ((const uint8_t *)data)[i]);
    assert_string_equal(text, hex);
    char *document = document_read("docs/PROTOCOL.md");
    assert_non_null(document);
    assert_true(document_has(document, hex));
    free(document);
}

/* docs/PROTOCOL.md, Test vectors: public key, info, transcript and signature of both modes. */
static void test_the_documents_handshakes(void **unused)
{
    (void)unused;
    uint8_t signed_bytes[1024];
    meshping_binding binding = sample_binding();
    assert_hex(binding.public_key, 32, "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7");

    meshping_handshake enrol = make(true, &binding);
    assert_hex(enrol.info, enrol.info_length,
               "168a436d38e5fd605116d5eeca16efddb859d8f3f1a28514c89b82b749bb8771ec659db99132d20a85db4910bc"
               "3bd21e89eeaf4e00100372e18986b8c8a36404375549bf33065fc14b9244fb1d350e8600c888d780d5947e4094"
               "ea3d775083afc3bf61331782bc0db7428ab1db");
    assert_hex(signed_bytes, transcript(signed_bytes, &enrol, &binding),
               "00106d65736870696e672f3120656e726f6c000400000001000811223344556677880020404142434445464748"
               "494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f0020606162636465666768696a6b6c6d6e6f70717273"
               "7475767778797a7b7c7d7e7f0020808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e"
               "9f002029acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd70008f03428a75ca99b3c"
               "006d168a436d38e5fd605116d5eeca16efddb859d8f3f1a28514c89b82b749bb8771ec659db99132d20a85db49"
               "10bc3bd21e89eeaf4e00100372e18986b8c8a36404375549bf33065fc14b9244fb1d350e8600c888d780d5947e"
               "4094ea3d775083afc3bf61331782bc0db7428ab1db");
    assert_hex(enrol.signature, 64,
               "8fe0afad05702c7f7f7d8dda5e297f0e2f6ffa427b058cf20de00825012694ad477edd3017991114bdba9f9b7a"
               "bf87a8a296773382e072e9ede250c4b8dde603");

    meshping_handshake resume = make(false, &binding);
    static const char info[] = "{\"host\":\"agent-1.example\",\"address\":\"192.0.2.7\",\"version\":\"0.1.0\","
                               "\"epoch\":\"0123456789abcdef\"}";
    assert_int_equal(resume.info_length, strlen(info));
    assert_memory_equal(resume.info, info, strlen(info));
    assert_hex(signed_bytes, transcript(signed_bytes, &resume, &binding),
               "00116d65736870696e672f3120726573756d650004000000010008112233445566778800204041424344454647"
               "48494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f0020606162636465666768696a6b6c6d6e6f707172"
               "737475767778797a7b7c7d7e7f0020808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d"
               "9e9f002029acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd70000005d7b22686f73"
               "74223a226167656e742d312e6578616d706c65222c2261646472657373223a223139322e302e322e37222c2276"
               "657273696f6e223a22302e312e30222c2265706f6368223a2230313233343536373839616263646566227d");
    assert_hex(resume.signature, 64,
               "98ba8fe84ecf29e8255fabb9dbe651054579c59e43a6cecbcac6c8be2cb4c15a1516e81805e72038eb04716660"
               "304e494809aa9e4f13e8fdd15edf07225a9e0b");

    meshping_error err = {0};
    uint8_t ticket_key[MESHPING_TICKET_KEY_LEN], ticket[MESHPING_TICKET_LEN];
    for (size_t i = 0; i < sizeof ticket_key; i++)
        ticket_key[i] = (uint8_t)(0xc0 + i);
    assert_int_equal(meshping_ticket_make(ticket, ticket_key, binding.public_key, UINT64_C(1700000000000000)),
                     MESHPING_OK);
    assert_int_equal(meshping_handshake_resume(&resume, &binding, seed, ticket, &sample_info, &err), MESHPING_OK);
    assert_hex(signed_bytes, transcript(signed_bytes, &resume, &binding),
               "00116d65736870696e672f3120726573756d650004000000010008112233445566778800204041424344454647"
               "48494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f0020606162636465666768696a6b6c6d6e6f707172"
               "737475767778797a7b7c7d7e7f0020808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d"
               "9e9f002029acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7002800060a24181e40"
               "00df699289903d96617fd00b7f8ea7fe7e87957516653f2cb25e5996d3e6342c7e005d7b22686f7374223a2261"
               "67656e742d312e6578616d706c65222c2261646472657373223a223139322e302e322e37222c2276657273696f"
               "6e223a22302e312e30222c2265706f6368223a2230313233343536373839616263646566227d");
    assert_hex(resume.signature, 64,
               "860817cfa8a6780c1545cee60c4a5f99a7722ab3903df9bfe28d9b0977caa92447db7751ae89af75f9883231f57154"
               "ecc856c9615f6a5e15d6c8ac46761aec0d");
}

static void test_an_info_with_a_bad_field_is_refused_with_its_name(void **unused)
{
    (void)unused;
    static const struct {
        const char *info, *words;
    } cases[] = {{"", "not JSON"},
                 {"[]", "info"},
                 {"{}", "host"},
                 {"{\"host\":\"\",\"version\":\"1\",\"epoch\":\"0000000000000001\"}", "host"},
                 {"{\"host\":\"a\",\"version\":\"1\",\"epoch\":\"0000000000000000\"}", "epoch"},
                 {"{\"host\":\"a\",\"version\":\"1\",\"epoch\":\"1\"}", "epoch"},
                 {"{\"host\":\"a\",\"version\":\"1\",\"epoch\":\"000000000000000G\"}", "epoch"},
                 {"{\"host\":\"a\",\"epoch\":\"0000000000000001\"}", "version"},
                 {"{\"host\":1,\"version\":\"1\",\"epoch\":\"0000000000000001\"}", "host"},
                 {"{\"host\":\"a\\u0007\",\"version\":\"1\",\"epoch\":\"0000000000000001\"}", "host"},
                 {"{\"host\":\"a\",\"version\":\"1\",\"address\":7,\"epoch\":\"0000000000000001\"}", "address"}};
    meshping_binding binding = sample_binding();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_handshake handshake = make(false, &binding);
        uint8_t data[2048];
        meshping_agent_info info;
        meshping_error err = {0};
        handshake.info_length = strlen(cases[i].info);
        memcpy(handshake.info, cases[i].info, handshake.info_length);
        size_t length = transcript(data, &handshake, &binding);
        assert_int_equal(meshping__ed25519_sign(handshake.signature, seed, data, length), MESHPING_OK);
        assert_int_equal(meshping_handshake_open(&info, &handshake, &binding, NULL, &err), MESHPING_PROTOCOL);
        if (!strstr(err.message, cases[i].words))
            fail_msg("%s: %s", cases[i].info, err.message);
    }
}

static void test_an_info_that_is_too_long_is_refused_by_the_agent_itself(void **unused)
{
    (void)unused;
    meshping_binding binding = sample_binding();
    meshping_handshake handshake;
    meshping_error err = {0};
    meshping_agent_info info = {.epoch = 1};
    memset(info.host_name, '\\', sizeof info.host_name - 1); /* twice as long in JSON */
    memset(info.address, '\\', sizeof info.address - 1);
    memset(info.version, '\\', sizeof info.version - 1);
    assert_int_equal(meshping_handshake_enrol(&handshake, &binding, seed, passphrase_key, &info, &err), MESHPING_LIMIT);
    assert_non_null(strstr(err.message, "too long"));
    assert_int_equal(meshping_handshake_resume(&handshake, &binding, seed, NULL, &info, &err), MESHPING_LIMIT);
}

/* ---- keys of small order ---- */

/* y of the points of order 1, 2, 4 and 8, and the two that have a second encoding (y + p). Low bytes first. */
static const char *const small_orders[] = {"0100000000000000000000000000000000000000000000000000000000000000",
                                           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                           "0000000000000000000000000000000000000000000000000000000000000000",
                                           "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                                           "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"};

static void from_hex(uint8_t out[32], const char *hex)
{
    for (size_t i = 0; i < 32; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
}

/*
 * What the list is for: a signature made without any private key (R the neutral point, S = 0) is good under such a key,
 * for every message or for one in 2, 4 or 8, for OpenSSL alone. Returns for how many of 256 messages.
 */
static int forged(const uint8_t public_key[32])
{
    uint8_t signature[64] = {1};
    int good = 0;
    for (int i = 0; i < 256; i++) {
        uint8_t message = (uint8_t)i;
        good += meshping__ed25519_verify(signature, public_key, &message, 1) == MESHPING_OK;
    }
    return good;
}

static void test_keys_of_small_order_are_refused_for_openssl_believes_forgeries_under_them(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof small_orders / sizeof *small_orders; i++) {
        for (int sign = 0; sign < 2; sign++) {
            uint8_t key[MESHPING_KEY_LEN];
            from_hex(key, small_orders[i]);
            key[31] |= (uint8_t)(sign << 7);
            if (forged(key) < 256 / 16)
                fail_msg("%s, sign %d: %d of 256 forgeries", small_orders[i], sign, forged(key));
            assert_int_equal(meshping_identity_check(key), MESHPING_CRYPTO);

            meshping_binding binding = sample_binding();
            meshping_handshake handshake = make(false, &binding);
            memcpy(handshake.public_key, key, sizeof key);
            memset(handshake.signature, 0, sizeof handshake.signature);
            handshake.signature[0] = 1;
            assert_refused(&handshake, &binding, NULL, "small order");
        }
    }
}

static void test_honest_keys_are_taken_and_no_forgery_works_under_them(void **unused)
{
    (void)unused;
    for (uint8_t i = 0; i < 8; i++) {
        uint8_t own_seed[MESHPING_KEY_LEN] = {i}, key[MESHPING_KEY_LEN];
        assert_int_equal(meshping_identity_public(key, own_seed), MESHPING_OK);
        assert_int_equal(meshping_identity_check(key), MESHPING_OK);
        assert_int_equal(forged(key), 0);
    }
}

static void test_what_is_no_point_verifies_nothing(void **unused)
{
    (void)unused;
    uint8_t key[MESHPING_KEY_LEN] = {2}; /* y = 2 has no x */
    assert_int_equal(forged(key), 0);
    meshping_binding binding = sample_binding();
    meshping_handshake handshake = make(false, &binding);
    memcpy(handshake.public_key, key, sizeof key);
    assert_refused(&handshake, &binding, NULL, "signature");
}

static void test_a_fingerprint_is_16_bytes_of_sha_256_in_groups_of_four(void **unused)
{
    (void)unused;
    char text[MESHPING_FINGERPRINT_MAX];
    meshping_binding binding = sample_binding();
    assert_string_equal(meshping_identity_fingerprint(text, binding.public_key),
                        "24F6 ED6A CBFE 1009 C030 D7CA 567C 33CA");
    binding.public_key[0] ^= 1;
    assert_string_not_equal(meshping_identity_fingerprint(text, binding.public_key),
                            "24F6 ED6A CBFE 1009 C030 D7CA 567C 33CA");
    assert_int_equal(strlen(text), 39);
}

static void test_info_tells_the_address_that_is_advertised(void **state)
{
    (void)state;
    meshping_agent_info info = sample_info, got;
    char *json;
    size_t length;
    snprintf(info.advertise, sizeof info.advertise, "2001:db8::7");
    assert_int_equal(meshping__info_encode(&json, &length, &info), MESHPING_OK);
    assert_int_equal(meshping__info_decode(&got, json, length, NULL), MESHPING_OK);
    assert_string_equal(got.advertise, "2001:db8::7");
    meshping_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_tells_the_address_that_is_advertised),
        cmocka_unit_test(test_the_server_opens_what_the_agent_made),
        cmocka_unit_test(test_it_survives_the_wire),
        cmocka_unit_test(test_an_enrolment_hides_the_info_from_who_lacks_the_passphrase),
        cmocka_unit_test(test_the_same_info_is_never_encrypted_alike_twice),
        cmocka_unit_test(test_any_changed_bit_is_refused),
        cmocka_unit_test(test_a_relayed_handshake_is_refused),
        cmocka_unit_test(test_who_holds_the_passphrase_cannot_take_anothers_key),
        cmocka_unit_test(test_the_documents_handshakes),
        cmocka_unit_test(test_an_info_with_a_bad_field_is_refused_with_its_name),
        cmocka_unit_test(test_an_info_that_is_too_long_is_refused_by_the_agent_itself),
        cmocka_unit_test(test_keys_of_small_order_are_refused_for_openssl_believes_forgeries_under_them),
        cmocka_unit_test(test_honest_keys_are_taken_and_no_forgery_works_under_them),
        cmocka_unit_test(test_what_is_no_point_verifies_nothing),
        cmocka_unit_test(test_a_fingerprint_is_16_bytes_of_sha_256_in_groups_of_four),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
