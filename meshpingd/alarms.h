/* SPDX-License-Identifier: Apache-2.0 */
/* What the server's owner has to know now: in the log, on the page, in the API and in /metrics, until it is over. */
#ifndef MESHPINGD_ALARMS_H
#define MESHPINGD_ALARMS_H

#include <meshping/common.h>

#include <json-c/json.h>

#define ALARM_MAP(XX)                                                                                                  \
    XX(STORE, "store")       /* samples cannot be stored: acks stop, agents keep what they have */                     \
    XX(DAMAGE, "damage")     /* the database is damaged: what lies there cannot be stored or read */                   \
    XX(RESTORED, "restored") /* an agent showed that the database is an older one; until the next start */             \
    XX(SIZE, "size")         /* the database is near its size limit, or over it: samples go before their time */       \
    XX(SEAL, "seal")         /* stored blocks cannot be joined, or deleted: the database grows, nothing is lost */     \
    XX(BREACHED, "breached") /* the list of breached passwords cannot be read: no password can be set */

typedef enum alarm_kind {
#define XX(name, text) ALARM_##name,
    ALARM_MAP(XX)
#undef XX
        ALARM_KINDS
} alarm_kind;

typedef struct alarms {
    struct {
        int64_t since_ms; /* 0: it is not raised */
        int64_t logged_ms;
        char text[MESHPING_ERROR_MESSAGE_MAX];
    } items[ALARM_KINDS];
} alarms;

const char *alarm_name(alarm_kind kind);
/* Raises it, or changes its text; logged when it is new and each minute that it lasts. */
void alarm_raise(alarms *all, alarm_kind kind, int64_t now_ms, const char *text);
/* It is over; harmless when it was not raised. True: it was. */
bool alarm_clear(alarms *all, alarm_kind kind, int64_t now_ms);
bool alarm_is_raised(const alarms *all, alarm_kind kind);
/* [{"kind","text","since_ms"}] */
json_object *alarms_json(const alarms *all);

#endif
