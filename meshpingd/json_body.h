/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that came over HTTP. Pure. */
#ifndef MESHPINGD_JSON_BODY_H
#define MESHPINGD_JSON_BODY_H

#include <json-c/json.h>
#include <meshping/assignment.h>

#define JSON_BODY_DEPTH 16

/* Any bytes are safe. *out is the caller's (json_object_put). INVALID with the reason and the place. */
meshping_status json_body_parse(json_object **out, const char *text, size_t length, meshping_error *err);
/* The string, or NULL when `value` is none or holds a NUL. */
const char *json_body_string(json_object *value);
/* The string `name` of an object into to[size], which stays as it is when there is none. INVALID: `needed`; too long.
 */
meshping_status json_body_take_text(json_object *item, const char *name, bool needed, char *to, size_t size,
                                    meshping_error *err);

/*
 * Whether `object` has no field but those of `fields`, words with one space between. INVALID names the first other
 * one, as none of `of` ("a target").
 */
meshping_status json_body_fields(json_object *object, const char *fields, const char *of, meshping_error *err);

/*
 * Labels out of {"key": "value", ...} as canonical text into out[MESHPING_LABELS_MAX]; NULL is none. INVALID, LIMIT:
 * see meshping_labels_parse.
 */
meshping_status json_body_labels(char *out, json_object *value, meshping_error *err);
/*
 * Rules out of {"rules": [{"name", "kind", "agents", "targets"}, ...]}, checked; *out is the caller's (free), *count
 * its length. On an error *index is the rule at fault (from 0), SIZE_MAX when it is none in particular.
 */
meshping_status rules_json_parse(meshping_rule **out, size_t *count, size_t *index, json_object *body,
                                 meshping_error *err);

/*
 * A list of targets out of {"targets": [...]}; an item is an object or a string "ADDRESS [NAME]". Fields that an
 * object leaves out take `defaults`. The whole list is checked. On an error *out is empty and *index is the item at
 * fault (from 0), SIZE_MAX when it is none in particular. INVALID, EXISTS, LIMIT, NOMEM.
 * strings_only: the original's form, where an item must be a string.
 */
meshping_status targets_json_parse(meshping_target_list *out, size_t *index, json_object *body, bool strings_only,
                                   const meshping_target *defaults, size_t limit, meshping_error *err);
/*
 * Hosts of `list` that are in `before` get all that they have there, in each family, and keep their name where `list`
 * gives none. O(n log n). LIMIT, NOMEM: the list is as it was.
 */
meshping_status targets_keep(meshping_target_list *list, const meshping_target_list *before, meshping_error *err);

#endif
