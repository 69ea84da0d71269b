/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slows down guessing: after some free tries each further failure doubles the wait, up to a cap, so that nobody is
 * locked out for good. Pure: time is an argument. One table for accounts, one for addresses.
 */
#ifndef MESHPINGD_THROTTLE_H
#define MESHPINGD_THROTTLE_H

#include <meshping/common.h>

#define THROTTLE_ENTRIES 4096 /* remembered keys; the one that failed longest ago makes room */
#define THROTTLE_KEY_LEN 16
#define THROTTLE_FORGET_MS 3600000 /* after an hour without a failure a key starts anew */

typedef struct throttle_entry {
    uint8_t key[THROTTLE_KEY_LEN];
    uint32_t failures; /* 0: free */
    int64_t last_ms;
} throttle_entry;

typedef struct throttle_limits {
    uint32_t free_tries;
    int64_t first_ms, cap_ms; /* wait after the first failure beyond the free ones; longest wait */
} throttle_limits;

/* Of sign-ins, and of mails that somebody asks for who forgot his password. */
extern const throttle_limits throttle_accounts, throttle_addresses, throttle_reset_mails;

typedef struct throttle {
    throttle_limits limits;
    throttle_entry *entries; /* THROTTLE_ENTRIES */
} throttle;

/* NOMEM */
meshping_status throttle_init(throttle *t, const throttle_limits *limits);
void throttle_dispose(throttle *t);
/* The key of a name or an address: SHA-256, cut. */
void throttle_key(uint8_t key[THROTTLE_KEY_LEN], const char *kind, const void *bytes, size_t length);
/* Milliseconds until the next try is allowed; 0: now. */
int64_t throttle_wait_ms(const throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms);
/* How many tries failed; 0: none in the last hour. */
uint32_t throttle_failures(const throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms);
/* A try begins: it counts as a failure until throttle_succeeded, so that tries side by side do not slip through. */
void throttle_begin(throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms);
/* The try was wrong: the wait begins now. */
void throttle_failed(throttle *t, const uint8_t key[THROTTLE_KEY_LEN], int64_t now_ms);
/* The try was right. forget: all earlier failures are forgiven too (an account's); else only this one (an address's).
 */
void throttle_succeeded(throttle *t, const uint8_t key[THROTTLE_KEY_LEN], bool forget);

#endif
