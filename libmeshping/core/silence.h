/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short stretches in which nothing at all was heard. Each round trip is two moments at which the network carried a
 * packet; between two neighbouring moments of all of them nothing is known to have worked.
 */
#ifndef MESHPING_CORE_SILENCE_H
#define MESHPING_CORE_SILENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESHPING__SILENCES_MAX 256 /* remembered, the latest */
#define MESHPING__SILENCE_SHORTEST_NS 20000000
#define MESHPING__SILENCE_TALLY_NS 100000000 /* round trips are counted by the tenth of a second they began in */
#define MESHPING__SILENCE_TALLIES 1024

typedef struct meshping__silence {
    int64_t from_ns, to_ns; /* both excluded */
} meshping__silence;

/* All zero: nothing heard yet. */
typedef struct meshping__silences {
    meshping__silence items[MESHPING__SILENCES_MAX]; /* ascending, apart */
    size_t count;
    int64_t heard_ns; /* the latest moment; 0: none */
    uint32_t tallies[MESHPING__SILENCE_TALLIES];
    int64_t tally_of[MESHPING__SILENCE_TALLIES]; /* which tenth of a second that is */
} meshping__silences;

/* Something was heard at this moment. */
void meshping__silences_hear(meshping__silences *silences, int64_t at_ns);
/* A round trip. */
void meshping__silences_take(meshping__silences *silences, int64_t sent_ns, int64_t done_ns);
/* The silence at this moment; false: there is none worth the name, or it has no end yet. */
bool meshping__silences_at(const meshping__silences *silences, int64_t at_ns, meshping__silence *out);
/* Round trips a second, of those that began in that time (whole tenths of a second, at most the last 100 s). */
double meshping__silences_rate(const meshping__silences *silences, int64_t from_ns, int64_t to_ns);

#endif
