/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/throttle.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* An account's owner, whose name is being tried, waits no longer than half a minute. */
const throttle_limits throttle_accounts = {5, 1000, 30000}, throttle_addresses = {10, 1000, 300000},
                      throttle_reset_mails = {3, 1200000, 3600000};

meshping_status throttle_init(throttle *t, const throttle_limits *limits)
{
    *t = (throttle){.limits = *limits};
    t->entries = calloc(THROTTLE_ENTRIES, sizeof *t->entries);
    return t->entries ? MESHPING_OK : MESHPING_NOMEM;
}

void throttle_dispose(throttle *t)
{
    free(t->entries);
    t->entries = NULL;
}

void throttle_key(uint8_t key[THROTTLE_KEY_LEN], const char *kind, const void *bytes, size_t length)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    memset(digest, 0, sizeof digest);
    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1) {
        EVP_DigestUpdate(context, kind, strlen(kind) + 1);
        EVP_DigestUpdate(context, bytes, length);
        EVP_DigestFinal_ex(context, digest, NULL);
    }
    EVP_MD_CTX_free(context);
    memcpy(key, digest, THROTTLE_KEY_LEN);
}

static throttle_entry *find(const throttle *t, const uint8_t *key)
{
    for (size_t i = 0; i < THROTTLE_ENTRIES; i++)
        if (t->entries[i].failures && memcmp(t->entries[i].key, key, THROTTLE_KEY_LEN) == 0)
            return &t->entries[i];
    return NULL;
}

int64_t throttle_wait_ms(const throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms)
{
    const throttle_entry *entry = find(t, key);
    if (!entry || entry->failures < t->limits.free_tries || now_ms - entry->last_ms >= THROTTLE_FORGET_MS)
        return 0;
    int64_t wait_ms = t->limits.first_ms;
    for (uint32_t i = t->limits.free_tries; i < entry->failures && wait_ms < t->limits.cap_ms; i++)
        wait_ms *= 2;
    if (wait_ms > t->limits.cap_ms)
        wait_ms = t->limits.cap_ms;
    /* a clock that was set back must not lock anybody out for longer than the cap */
    int64_t passed_ms = now_ms > entry->last_ms ? now_ms - entry->last_ms : 0;
    return passed_ms >= wait_ms ? 0 : wait_ms - passed_ms;
}

uint32_t throttle_failures(const throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms)
{
    const throttle_entry *entry = find(t, key);
    return entry && now_ms - entry->last_ms < THROTTLE_FORGET_MS ? entry->failures : 0;
}

void throttle_begin(throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms)
{
    throttle_entry *entry = find(t, key);
    if (!entry) {
        entry = &t->entries[0];
        for (size_t i = 0; i < THROTTLE_ENTRIES && entry->failures; i++)
            if (!t->entries[i].failures || t->entries[i].last_ms < entry->last_ms)
                entry = &t->entries[i];
        memcpy(entry->key, key, THROTTLE_KEY_LEN);
        entry->failures = 0;
    } else if (now_ms - entry->last_ms >= THROTTLE_FORGET_MS) {
        entry->failures = 0;
    }
    if (entry->failures < UINT32_MAX)
        entry->failures++;
    entry->last_ms = now_ms;
}

void throttle_failed(throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms)
{
    throttle_entry *entry = find(t, key);
    if (entry)
        entry->last_ms = now_ms;
}

void throttle_succeeded(throttle *t, const uint8_t key[THROTTLE_KEY_LEN], bool forget)
{
    throttle_entry *entry = find(t, key);
    if (entry)
        entry->failures = forget || !entry->failures ? 0 : entry->failures - 1;
}
