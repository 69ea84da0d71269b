/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose fault is a miss? An agent whose own link is down sees every target fail; that is not the targets' loss.
 *
 * A miss is believed only with evidence that the agent's network carried packets while the reply could still have
 * come: a full round trip (of another probe, not over the loopback interface, or of a ping to the server) that ended at
 * least MESHPING_ISOLATION_SETTLE_MS after the lost probe was sent. Most misses have that when their verdict falls. The
 * others are held, and the server is asked for a sign of life. Cut off was the agent, and every miss sent between the
 * last evidence before and the first evidence after becomes MESHPING_OUTCOME_ISOLATED, when
 *  - no evidence comes within the grace after a miss's verdict; or
 *  - the server, asked over a living session, does not answer for MESHPING_ISOLATION_STALL_MS, nor does any target; or
 *  - nobody could be asked, a miss waited for longer than that, and there was no evidence for longer than the grace.
 * And a miss with evidence after it is the agent's own all the same when it was sent in a silence, between two moments
 * at which anything was heard, in which so many probes of reliable targets were lost that chance does not do that,
 * while all was as usual right after. Such misses wait until all that was sent in the silence has its verdict.
 * docs/adr/0003-isolation.md has the reasons and the limits. Pure: no clock, no I/O. All times are CLOCK_MONOTONIC
 * nanoseconds.
 */
#ifndef MESHPING_ISOLATION_H
#define MESHPING_ISOLATION_H

#include <meshping/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_ISOLATION_SETTLE_MS 1000
#define MESHPING_ISOLATION_STALL_MS 2000
#define MESHPING_ISOLATION_HELD_MAX 1000000 /* misses held at once; more are delivered undecided */

typedef struct meshping_isolation meshping_isolation;

/* Receives every sample exactly once: at once, or when it is decided. */
typedef void (*meshping_isolation_fn)(void *user, uint64_t target_id, const meshping_sample *sample);

/*
 * grace_ms: how long after its verdict a miss waits for evidence; the longest interval plus timeout, so that every
 * other target had its chance to answer (a sign of life from the server decides much sooner).
 */
MESHPING_API meshping_status meshping_isolation_new(meshping_isolation **out, uint32_t grace_ms,
                                                    meshping_isolation_fn fn, void *user);
/* Changes the grace, as targets come and go; what is held waits by the new one. */
MESHPING_API void meshping_isolation_set_grace(meshping_isolation *isolation, uint32_t grace_ms);
/* Drops what is held without delivering it: an undecided miss is nobody's loss yet. */
MESHPING_API void meshping_isolation_free(meshping_isolation *isolation);
/*
 * A verdict of the engine. sent_ns..done_ns: the time the probe was in the air. A success that did not come over
 * loopback is evidence for that time. LIMIT, NOMEM: the sample was delivered at once, undecided.
 */
MESHPING_API meshping_status meshping_isolation_add(meshping_isolation *isolation, uint64_t target_id,
                                                    const meshping_sample *sample, int64_t sent_ns, int64_t done_ns,
                                                    bool via_loopback);
/* The server was asked for a sign of life over a living session. */
MESHPING_API void meshping_isolation_asked(meshping_isolation *isolation, int64_t mono_ns);
/* The session died: what was asked just now will not be answered, which says nothing yet. */
MESHPING_API void meshping_isolation_session_lost(meshping_isolation *isolation);
/* Evidence from elsewhere: something sent at from_ns was answered at to_ns (the server's answer to a ping). */
MESHPING_API void meshping_isolation_evidence(meshping_isolation *isolation, int64_t from_ns, int64_t to_ns);
/* Decides what is due: call at the deadline. */
MESHPING_API void meshping_isolation_process(meshping_isolation *isolation, int64_t mono_ns);
/* When process() wants to run; INT64_MAX: nothing is held. */
MESHPING_API int64_t meshping_isolation_deadline_ns(const meshping_isolation *isolation);
/* True while misses are held: the moment to ask the server for a sign of life. */
MESHPING_API bool meshping_isolation_suspects(const meshping_isolation *isolation);
/* True from the moment the agent is known to be cut off until the first evidence. */
MESHPING_API bool meshping_isolation_isolated(const meshping_isolation *isolation);

#ifdef __cplusplus
}
#endif
#endif
