/* SPDX-License-Identifier: Apache-2.0 */
/* How the hosts of meshping-sim behave, as the command line says it. */
#ifndef MESHPING_TESTS_PROFILE_H
#define MESHPING_TESTS_PROFILE_H

#include <meshping/address.h>

#define PROFILE_FORGERY_MAP(XX)                                                                                        \
    XX(WRONG_SOURCE, "wrong_source")                                                                                   \
    XX(WRONG_COOKIE, "wrong_cookie")   /* a byte of the second 8 of the payload */                                     \
    XX(WRONG_PAYLOAD, "wrong_payload") /* a byte behind the first 16 of the payload */                                 \
    XX(BAD_CHECKSUM, "bad_checksum")                                                                                   \
    XX(TRUNCATED, "truncated") /* the payload ends early */                                                            \
    XX(TOO_LONG, "too_long")                                                                                           \
    XX(WRONG_ID, "wrong_id")                                                                                           \
    XX(WRONG_SEQUENCE, "wrong_sequence")                                                                               \
    XX(WRONG_TYPE, "wrong_type")                                                                                       \
    XX(REFLECTED, "reflected")         /* the request itself comes back */                                             \
    XX(FOREIGN_ERROR, "foreign_error") /* an ICMP error that quotes another destination */                             \
    XX(WRONG_CODE, "wrong_code")                                                                                       \
    XX(WRONG_NUMBER, "wrong_number") /* a byte of the first 8 of the payload */                                        \
    XX(WRONG_LAST_BYTE, "wrong_last_byte")                                                                             \
    XX(WRONG_ENGINE, "wrong_engine") /* another of the identifiers that are the sender's */                            \
    XX(CUT_IDENTITY, "cut_identity") /* the payload ends within its first 16 bytes */                                  \
    XX(ZERO_PAYLOAD, "zero_payload")                                                                                   \
    XX(SWAPPED_IDENTITY, "swapped_identity")     /* the first 16 bytes of the payload the other way round */           \
    XX(ERROR_WRONG_COOKIE, "error_wrong_cookie") /* ICMP errors whose quote is altered */                              \
    XX(ERROR_WRONG_NUMBER, "error_wrong_number")                                                                       \
    XX(ERROR_WRONG_SEQUENCE, "error_wrong_sequence")                                                                   \
    XX(ERROR_ABOUT_REPLY, "error_about_reply")                                                                         \
    XX(ERROR_BAD_CHECKSUM, "error_bad_checksum")

typedef enum profile_forgery {
    FORGE_ANY = -1,
#define XX(name, text) FORGE_##name,
    PROFILE_FORGERY_MAP(XX)
#undef XX
        FORGE_COUNT,
} profile_forgery;

typedef struct profile {
    meshping_address network;
    unsigned prefix;             /* bits */
    int64_t delay_ns, jitter_ns; /* delay + uniform [0, jitter) */
    int64_t flap_ns;             /* up for so long, then down for so long, and so on; 0: always up */
    int64_t late_ns;             /* what a late reply comes later; default 4 s */
    double loss, duplicate, reorder, late, unreachable, prohibited, forge; /* probabilities */
    profile_forgery kind;
    bool instead; /* a forged packet replaces the reply (forge_only=), else it precedes it */
} profile;

extern const char profile_help[];

/* "ADDRESS[/PREFIX][:key=value,...]"; INVALID with the reason. */
meshping_status profile_parse(profile *out, const char *text, meshping_error *err);
bool profile_covers(const profile *host, const meshping_address *address);
const char *profile_forgery_name(profile_forgery kind);

#endif
