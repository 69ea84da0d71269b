/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far another host's clock is ahead of ours, and how wrong that may be: from exchanges of four times, as NTP does
 * (RFC 5905 section 8). Pure: times are arguments. The offset is told beside what the other measured, never applied to
 * it.
 */
#ifndef MESHPING_CLOCK_H
#define MESHPING_CLOCK_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_CLOCK_WINDOW 8                 /* exchanges looked back on */
#define MESHPING_CLOCK_DRIFT_PPM 50             /* an offset gets worse by so much a second */
#define MESHPING_CLOCK_SKEW_US INT64_C(1000000) /* from here on it is worth a person's look */

/* Zeroed: nothing known. One thread at a time. */
typedef struct meshping_clock {
    struct {
        int64_t offset_us, error_us;
        int64_t mono_us; /* ours, when the answer came */
    } exchanges[MESHPING_CLOCK_WINDOW];
    unsigned count, next;
} meshping_clock;

/*
 * One exchange, in microseconds: sent and received on our clock, arrived and answered on the other's; mono_us: now, on
 * our monotonic clock. The error is half of the time that the way took. An offset that the earlier ones rule out (a
 * clock was set) makes them forgotten. INVALID: times that cannot be (a way below 0), nothing is taken.
 */
MESHPING_API meshping_status meshping_clock_add(meshping_clock *clock, int64_t sent_us, int64_t arrived_us,
                                                int64_t answered_us, int64_t received_us, int64_t mono_us);
/* The other's clock minus ours by the best exchange, its error grown by its age. False: nothing is known. */
MESHPING_API bool meshping_clock_read(const meshping_clock *clock, int64_t mono_us, int64_t *offset_us,
                                      int64_t *error_us);

#ifdef __cplusplus
}
#endif
#endif
