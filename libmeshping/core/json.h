/* SPDX-License-Identifier: Apache-2.0 */
/* JSON objects read field by field, each with its bounds, so that no message is half understood. json-c underneath. */
#ifndef MESHPING_CORE_JSON_H
#define MESHPING_CORE_JSON_H

#include <json-c/json.h>
#include <meshping/protocol.h>

#define MESHPING__JSON_DEPTH_MAX 16
#define MESHPING__JSON_TIME_MAX (INT64_C(1) << 56) /* either way from 1970, as a block's slots */

/* Exactly one JSON value in exactly `length` bytes; strict, valid UTF-8. NULL and PROTOCOL in *err when it is not. */
json_object *meshping__json_parse(const char *text, size_t length, meshping_error *err);

/* One object being read; the first field that is wrong sets *err and makes the rest do nothing. */
typedef struct meshping__fields {
    json_object *object;
    meshping_error *err;
    meshping_status status;
} meshping__fields;

/* Present, and not null. */
bool meshping__field_has(const meshping__fields *fields, const char *name);
uint64_t meshping__field_u64(meshping__fields *fields, const char *name, uint64_t min, uint64_t max);
/* Absent: 0. */
int64_t meshping__field_time(meshping__fields *fields, const char *name, bool required);
/* Absent: `fallback`. */
uint64_t meshping__field_u64_or(meshping__fields *fields, const char *name, uint64_t max, uint64_t fallback);
/* 64 bits as 16 hex digits. Absent: 0. */
uint64_t meshping__field_hex64(meshping__fields *fields, const char *name, bool required);
/* Absent or UTF-8 of at most size - 1 bytes without control characters. */
void meshping__field_text(meshping__fields *fields, const char *name, char *out, size_t size, bool required);
/* base64url of exactly `length` bytes. */
void meshping__field_bytes(meshping__fields *fields, const char *name, uint8_t *out, size_t length);
/* base64url of at most `size` bytes; returns how many. */
size_t meshping__field_bytes_up_to(meshping__fields *fields, const char *name, uint8_t *out, size_t size);
/* An optional boolean; false when it is absent. */
bool meshping__field_flag(meshping__fields *fields, const char *name);
json_object *meshping__field_array(meshping__fields *fields, const char *name, size_t max);
void meshping__field_fail(meshping__fields *fields, const char *name, const char *what);

json_object *meshping__json_hex64(uint64_t value);
json_object *meshping__json_bytes(const uint8_t *bytes, size_t length);

/* What an agent says of itself, as JSON; *json is meshping_free's. */
meshping_status meshping__info_encode(char **json, size_t *length, const meshping_agent_info *info);
meshping_status meshping__info_decode(meshping_agent_info *out, const char *json, size_t length, meshping_error *err);

#endif
