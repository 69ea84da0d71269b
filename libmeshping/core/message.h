/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a control message that are in files of their own: message.c puts them together. */
#ifndef MESHPING_CORE_MESSAGE_H
#define MESHPING_CORE_MESSAGE_H

#include "core/json.h"

#define MESHPING__ID_MAX ((UINT64_C(1) << 53) - 1)
#define MESHPING__PARTS_MAX 4096u

/* INVALID: no such type. */
meshping_status meshping__server_message_encode(json_object *data, const meshping_message *message,
                                                meshping_error *err);
void meshping__server_message_decode(meshping__fields *f, meshping_message *out);
/* agent_message.c */
void meshping__targets_applied_encode(json_object *data, const meshping_targets_applied *m);
void meshping__targets_applied_decode(meshping__fields *f, meshping_targets_applied *m);
void meshping__status_encode(json_object *data, const meshping_status_message *m);
void meshping__status_decode(meshping__fields *f, meshping_status_message *m);
void meshping__probe_answer_encode(json_object *data, const meshping_probe_answer *m);
void meshping__probe_answer_decode(meshping__fields *f, meshping_probe_answer *m);
/* server_message.c */
void meshping__pins_encode(json_object *data, const meshping_pins *m);
void meshping__pins_decode(meshping__fields *f, meshping_pins *m);

#endif
