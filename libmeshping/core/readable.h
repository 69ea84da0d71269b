/* SPDX-License-Identifier: Apache-2.0 */
/* The readable form of a sample block, as in monitoring_data: one JSON object a sample. */
#ifndef MESHPING_CORE_READABLE_H
#define MESHPING_CORE_READABLE_H

#include <json-c/json.h>
#include <meshping/common.h>

#define MESHPING__READABLE_SAMPLES_MAX 1000

/* *out is an array, or NULL on an error. LIMIT: more samples than a message holds; CORRUPT: the block is damaged. */
meshping_status meshping__readable_encode(json_object **out, const uint8_t *block, size_t length, meshping_error *err);
/* *block is meshping_free's. PROTOCOL names the sample and the field. */
meshping_status meshping__readable_decode(uint8_t **block, size_t *length, json_object *samples, meshping_error *err);

/* "2026-11-22T23:00:00.000000Z", RFC 3339 in UTC with microseconds, into text[32]. */
void meshping__time_format(char *text, int64_t unix_us);
/* INVALID: anything else; the fraction may have 0 to 6 digits. */
meshping_status meshping__time_parse(int64_t *unix_us, const char *text);

#endif
