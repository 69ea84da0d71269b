/* SPDX-License-Identifier: Apache-2.0 */
/* Targets and lists of them: what is pinged, and how. Pure data; validated on the way in. */
#ifndef MESHPING_TARGET_H
#define MESHPING_TARGET_H

#include <meshping/address.h>
#include <meshping/selector.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_TARGETS_MAX 10000                          /* default limit of a list */
#define MESHPING_TARGET_NAME_MAX 65                         /* 64 bytes of UTF-8 and a NUL */
#define MESHPING_PAUSE_UNTIL_MS_MAX INT64_C(64060588800000) /* the year 4000 */
#define MESHPING_INTERVAL_MS_MIN 100
#define MESHPING_INTERVAL_MS_MAX 3600000
#define MESHPING_TIMEOUT_MS_MIN 10
#define MESHPING_TIMEOUT_MS_MAX 60000
#define MESHPING_SIZE_MIN 16 /* payload bytes: 8 of cookie, 8 of identity */
#define MESHPING_SIZE_MAX 65000
#define MESHPING_INTERVAL_MS_DEFAULT 5000
#define MESHPING_TIMEOUT_MS_DEFAULT 3000
#define MESHPING_SIZE_DEFAULT 56
#define MESHPING_SLOW_MS_MAX 60000
#define MESHPING_INTERFACE_MAX 16 /* an interface's name and its NUL */

typedef struct meshping_target {
    uint64_t id;                         /* stable, below 2^53; given by the server or the caller. 0: not given yet */
    char host[MESHPING_HOST_MAX];        /* canonical, see meshping_host_canonical */
    char name[MESHPING_TARGET_NAME_MAX]; /* for people; may be empty */
    uint32_t interval_ms;
    uint32_t timeout_ms;
    uint16_t size;  /* ICMP payload bytes, without the 8 of the ICMP header */
    uint8_t dscp;   /* 0..63 */
    uint8_t ttl;    /* 0: the system's default */
    uint8_t family; /* meshping_family wanted of a host name; 0: whatever resolves first, IPv6 preferred (RFC 6724) */
    bool dont_fragment;      /* what does not fit the path is too_big, whole; else it may go in fragments */
    meshping_address source; /* an address of the agent's host to send from; family NONE: the system chooses */
    char interface[MESHPING_INTERFACE_MAX]; /* to send by; empty: by the routes */
    /* the server's own; no agent is told */
    char labels[MESHPING_LABELS_MAX]; /* canonical in a list */
    uint32_t slow_ms;                 /* a cell is slow above this round-trip time; 0: the server's default */
    uint8_t lossy_percent;            /* and lossy from this share of its last verdicts lost; 0: likewise */
    char pause_reason[MESHPING_TARGET_NAME_MAX]; /* nobody pings it; empty: it is not paused */
    int64_t paused_until_ms;                     /* Unix; 0: until somebody resumes it */
} meshping_target;

/* All defaults, id 0, empty host. */
MESHPING_API void meshping_target_init(meshping_target *target);
/* Checks every field against the limits above; INVALID names the field, its value and what is allowed. */
MESHPING_API meshping_status meshping_target_check(const meshping_target *target, meshping_error *err);

/* Whether it is paused at this time: the pause has a reason, and no end that has come. */
MESHPING_API bool meshping_target_is_paused(const meshping_target *target, int64_t now_unix_ms);

typedef struct meshping_target_list {
    meshping_target *items; /* owned by the list */
    size_t count;
    size_t capacity;
    size_t limit;      /* most targets it takes; 0: MESHPING_TARGETS_MAX */
    uint64_t revision; /* of the whole list; the server counts it up on each change */
} meshping_target_list;

MESHPING_API void meshping_target_list_dispose(meshping_target_list *list);
/*
 * Makes `target` canonical and appends a copy. INVALID: a bad field; EXISTS: the same host is in the list;
 * LIMIT: the list is full; NOMEM. On an error the list is as it was. Amortised O(1) but for the duplicate check, which
 * is O(count): use meshping_target_list_check once for long lists.
 */
MESHPING_API meshping_status meshping_target_list_add(meshping_target_list *list, const meshping_target *target,
                                                      meshping_error *err);
/* Appends without the duplicate check. */
MESHPING_API meshping_status meshping_target_list_append(meshping_target_list *list, const meshping_target *target,
                                                         meshping_error *err);
/* Checks the whole list: each target, duplicates (host + family), limit; O(n log n). The error names both places,
 * counted from 1. */
MESHPING_API meshping_status meshping_target_list_check(const meshping_target_list *list, meshping_error *err);
/* The same, but for hosts, which may be there several times: what an agent is given. */
MESHPING_API meshping_status meshping_target_list_check_ids(const meshping_target_list *list, meshping_error *err);
/*
 * Takes the targets with the ids removed[] out, puts those of `changed` in place of the ones with their ids, the rest
 * of them at the end, and takes changed->revision over. INVALID: an id to be removed is not there; EXISTS: an id comes
 * twice in `changed`; LIMIT, NOMEM. On an error the list is as it was. O(n log n).
 */
MESHPING_API meshping_status meshping_target_list_patch(meshping_target_list *list, const meshping_target_list *changed,
                                                        const uint64_t *removed, size_t removed_count,
                                                        meshping_error *err);
/* NULL when there is none. Borrowed until the list changes. */
MESHPING_API const meshping_target *meshping_target_list_by_id(const meshping_target_list *list, uint64_t id);
MESHPING_API const meshping_target *meshping_target_list_by_host(const meshping_target_list *list, const char *host);
/* Deep copy; *out must be zeroed or initialised, is replaced on success. */
MESHPING_API meshping_status meshping_target_list_copy(meshping_target_list *out, const meshping_target_list *from);

#ifdef __cplusplus
}
#endif
#endif
