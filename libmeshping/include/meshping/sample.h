/* SPDX-License-Identifier: Apache-2.0 */
/* What one probe found. The same 16 bytes everywhere: engine, block, cache, store, bindings. */
#ifndef MESHPING_SAMPLE_H
#define MESHPING_SAMPLE_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Outcomes. 0: a reply. 1..15: the target did not answer (its loss). 16..31: the agent could not measure; never the
 * target's loss, in no count and no colour.
 */
#define MESHPING_OUTCOME_MAP(XX)                                                                                       \
    XX(0, OK, "ok")                                                                                                    \
    XX(1, TIMEOUT, "timeout")                                                                                          \
    XX(2, UNREACHABLE, "unreachable") /* ICMP destination unreachable: network, host, protocol, port, no route */      \
    XX(3, PROHIBITED, "prohibited")   /* ICMP unreachable by filter: v4 codes 9, 10, 13; v6 codes 1, 5, 6 */           \
    XX(4, TIME_EXCEEDED, "time_exceeded")                                                                              \
    XX(5, TOO_BIG, "too_big")                                                                                          \
    XX(6, ICMP_ERROR, "icmp_error")  /* any other ICMP error that quotes the probe */                                  \
    XX(16, SEND_ERROR, "send_error") /* the kernel refused to send; sys_errno says why */                              \
    XX(17, QUEUE_FULL, "queue_full") /* the kernel's send queue was full (ENOBUFS, EAGAIN) */                          \
    XX(18, UNRESOLVED, "unresolved") /* the host name has no address now */                                            \
    XX(19, ISOLATED, "isolated")     /* the agent itself was cut off: no route, link or gateway; see isolation.h */    \
    XX(20, OVERLOADED, "overloaded") /* sent too late, replies dropped, process or host asleep: no verdict is honest   \
                                      */

typedef enum meshping_outcome {
#define XX(value, name, text) MESHPING_OUTCOME_##name = (value),
    MESHPING_OUTCOME_MAP(XX)
#undef XX
} meshping_outcome;

#define MESHPING_OUTCOME_LOCAL_FIRST 16
#define MESHPING_OUTCOME_COUNT 32 /* codes 0..31 are reserved for outcomes */

typedef enum meshping_outcome_class {
    MESHPING_CLASS_OK = 0,
    MESHPING_CLASS_FAIL = 1,
    MESHPING_CLASS_LOCAL_ERROR = 2,
} meshping_outcome_class;

enum meshping_sample_flag {
    MESHPING_FLAG_LATE_SEND = 1 << 0,   /* sent more than 100 ms after its slot */
    MESHPING_FLAG_CLOCK = 1 << 1,       /* a clock step or suspend during the probe; RTT is from the monotonic clock */
    MESHPING_FLAG_RX_DROPS = 1 << 2,    /* the socket dropped packets while this probe was unanswered */
    MESHPING_FLAG_COARSE_TIME = 1 << 3, /* no kernel receive timestamp, or the process was held up in sending: RTT may
                                           include more than 0.1 ms of this host's own */
    /* 1 << 4: unused. Duplicates come after the verdict, which does not wait for them: they are counted a target */
    MESHPING_FLAG_LATE_DATA = 1 << 5, /* set by the server: arrived over MESHPING_LATE_DATA_US after its slot */
};

#define MESHPING_LATE_DATA_US INT64_C(30000000)

typedef struct meshping_sample {
    int64_t slot_unix_us; /* the scheduled slot on the agent's clock, microseconds since 1970-01-01 UTC */
    uint32_t rtt_us;      /* round-trip time, whole microseconds; 0 unless outcome is OK */
    uint8_t outcome;      /* meshping_outcome */
    uint8_t reserved;     /* 0 */
    uint16_t flags;       /* meshping_sample_flag */
} meshping_sample;

/* Largest RTT that a sample holds (about 71 minutes; the codes of outcomes lie above it). */
#define MESHPING_RTT_US_MAX (UINT32_MAX - 64u)

/* "timeout"; "unknown" for a value outside the list. Static storage. */
MESHPING_API const char *meshping_outcome_name(unsigned outcome);
MESHPING_API meshping_outcome_class meshping_outcome_classify(unsigned outcome);
/* Sets or clears MESHPING_FLAG_LATE_DATA of samples that were received at received_unix_us, on the agent's clock. */
MESHPING_API void meshping_samples_mark_late(meshping_sample *samples, size_t count, int64_t received_unix_us);

#ifdef __cplusplus
}
#endif
#endif
