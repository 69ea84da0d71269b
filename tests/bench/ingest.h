/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the bench `ingest` share: a mesh of seeded agents, and the processes that act in it. */
#ifndef MESHPING_BENCH_INGEST_H
#define MESHPING_BENCH_INGEST_H

#include <meshping/block.h>
#include <meshping/protocol.h>
#include <meshping/store.h>
#include <openssl/ssl.h>

#define INGEST_STEP_US INT64_C(5000000)
#define INGEST_KINDS 4u /* of series: agents of a kind measure the same */
#define INGEST_HOUR_ROUNDS 720
#define INGEST_PATH_MAX 300
#define INGEST_VIEWS_MAX 64
#define INGEST_TOKEN                                                                                                   \
    "bench-bench-bench-bench-bench-bench-bench-0" /* of the web session that is seeded: 43 characters */

typedef struct ingest_mesh {
    char directory[INGEST_PATH_MAX]; /* the server's state is in it */
    uint32_t agents, targets, seconds;
    uint16_t port;
    int64_t stored_us; /* Unix time: of slots before it the server has what was filled in */
    int64_t *acked_us; /* and up to here what the agents sent, one time an agent; memory that the processes share */
} ingest_mesh;

typedef struct ingest_latency {
    uint64_t count;
    double p50_ms, p99_ms, max_ms;
} ingest_latency;

/* What was asked for. */
typedef struct ingest_setting {
    ingest_mesh mesh;
    const char *meshpingd;
    uint32_t day_agents, views;
    bool hour, steady, json;
    int64_t filled_from, filled_to; /* rounds of the hour that was there before */
} ingest_setting;

/* What the agents' process tells at its end. */
typedef struct ingest_load {
    uint64_t sessions, frames_sent, frames_acked, samples_sent, samples_acked, bytes_sent, lost_sessions;
    double cpu_s; /* of the process itself */
    ingest_latency ack;
} ingest_load;

/* What the reader's process tells. */
typedef struct ingest_queries {
    uint64_t failed;
    ingest_latency loading; /* an hour of a pair, while the server still takes the hour into memory after its start */
    ingest_latency hour, day;
} ingest_queries;

/* Makes the database: agents as approved, targets, and the samples that the setting asks for; sets filled_*. */
bool ingest_prepare(ingest_setting *o);
/* Agents as if approved long ago, the targets, and a web session for the reader. */
bool ingest_seed(meshping_store *store, const ingest_mesh *mesh);
/* Prints it; false. */
bool ingest_said(const char *what, const meshping_error *err);
uint64_t ingest_agent_id(uint32_t agent);
void ingest_agent_seed(uint8_t seed[MESHPING_KEY_LEN], uint32_t agent);
/* What the agent measures of the target (from 0) in the slot of round `round` (Unix time / 5 s): always the same. */
meshping_sample ingest_sample(uint32_t agent, uint32_t target, int64_t round);
/* Of the newest slot of the target that is not after until_us. */
meshping_sample ingest_sample_until(uint32_t agent, uint32_t target, int64_t until_us);
/* Sorts `values_ms`. */
ingest_latency ingest_latency_of(double *values_ms, size_t count);
double ingest_now_ms(void);

/*
 * Stores rounds as agents' blocks came, one a round, at the times they would have come (ingest_fill.c). In the thread
 * of `store`.
 */
typedef struct ingest_filler {
    meshping_store *store;
    uint32_t targets;
    uint64_t epoch, sequence;
    meshping_block_builder *builder;
    size_t waiting;
    bool failed;
    uint64_t samples;
    double build_cpu_s; /* of making the blocks, which is the agents' work */
    double wait_ms;     /* the longest that a block waited for its commit */
} ingest_filler;

bool ingest_filler_init(ingest_filler *f, meshping_store *store, uint32_t targets, int64_t from_round);
void ingest_filler_dispose(ingest_filler *f);
bool ingest_fill_round(ingest_filler *f, uint32_t agents, int64_t round);
/* Waits until all is stored, and until nothing is due to be joined or (`retained`) to go. */
bool ingest_fill_settle(ingest_filler *f, bool sealed, bool retained);
/* CPU of this process so far. */
double ingest_cpu_s(void);

/* TLS to the server on loopback, blocking; NULL: no. SNI picks the agents' key or the browsers'. */
SSL *ingest_connect(SSL_CTX *ctx, uint16_t port, const char *sni);
SSL_CTX *ingest_tls(void);

/*
 * Runs the agents: connects all, sends what they measured since mesh->stored_us, as ones that the server was away from,
 * writes one byte to `ready` when all of it is acked, waits for one on `go`, sends for mesh->seconds, waits for the
 * last acks. Only what is sent after `go` is counted. For a process of its own.
 */
bool ingest_run_agents(const ingest_mesh *mesh, int ready, int go, ingest_load *out);
/* Asks for the last hour and for 24 hours of pairs over HTTPS until `stop` is readable. For a process of its own. */
bool ingest_run_queries(const ingest_mesh *mesh, uint32_t day_agents, int stop, ingest_queries *out);
/* Has so many live views open until `stop` is readable; *bytes: what came. For a process of its own. */
bool ingest_run_views(const ingest_mesh *mesh, uint32_t views, int stop, uint64_t *bytes);
/* One GET with the seeded session; the body is the caller's (free). -1: no answer. */
int ingest_get(SSL *tls, const char *path, char **body, size_t *length);

#endif
