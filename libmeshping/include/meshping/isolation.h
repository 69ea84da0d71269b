/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose fault is a miss? An agent whose own link is down sees every target fail; that is not the targets' loss.
 *
 * A miss is believed only with evidence that the agent's network carried packets while the miss was in the air:
 * a reply of another target that did not come over the loopback interface, or an answer of the server. Misses without
 * evidence are held for a short grace; when it ends they become MESHPING_OUTCOME_ISOLATED. Pure: no clock, no I/O.
 */
#ifndef MESHPING_ISOLATION_H
#define MESHPING_ISOLATION_H

#include <meshping/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct meshping_isolation meshping_isolation;

/* Receives every sample exactly once: at once, or when it is decided. */
typedef void (*meshping_isolation_fn)(void *user, uint64_t target_id, const meshping_sample *sample);

/* grace_ms: how long after its verdict a miss waits for evidence; 1,000 is a good value. */
MESHPING_API meshping_status meshping_isolation_new(meshping_isolation **out, uint32_t grace_ms,
                                                    meshping_isolation_fn fn, void *user);
MESHPING_API void meshping_isolation_free(meshping_isolation *isolation);
/*
 * A verdict of the engine. sent_mono_ns..done_mono_ns: the time the probe was in the air. A success that did not come
 * over loopback is evidence for that time. NOMEM: the sample was delivered at once, undecided.
 */
MESHPING_API meshping_status meshping_isolation_add(meshping_isolation *isolation, uint64_t target_id,
                                                    const meshping_sample *sample, int64_t sent_mono_ns,
                                                    int64_t done_mono_ns, bool via_loopback);
/* Evidence from elsewhere: something sent at from_mono_ns was answered at to_mono_ns (the server's answer to a ping).
 */
MESHPING_API void meshping_isolation_evidence(meshping_isolation *isolation, int64_t from_mono_ns, int64_t to_mono_ns);
/* Decides what is due: call at the deadline. */
MESHPING_API void meshping_isolation_process(meshping_isolation *isolation, int64_t mono_ns);
/* When process() wants to run; INT64_MAX: nothing is held. */
MESHPING_API int64_t meshping_isolation_deadline_ns(const meshping_isolation *isolation);
/* True while misses are held: the moment to ask the server for a sign of life. */
MESHPING_API bool meshping_isolation_suspects(const meshping_isolation *isolation);

#ifdef __cplusplus
}
#endif
#endif
