/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a control message that are in files of their own: message.c puts them together. */
#ifndef MESHPING_CORE_MESSAGE_H
#define MESHPING_CORE_MESSAGE_H

#include "core/json.h"

#define MESHPING__ID_MAX ((UINT64_C(1) << 53) - 1)

/* INVALID: no such type. */
meshping_status meshping__server_message_encode(json_object *data, const meshping_message *message,
                                                meshping_error *err);
void meshping__server_message_decode(meshping__fields *f, meshping_message *out);
void meshping__pins_encode(json_object *data, const meshping_pins *m);
void meshping__pins_decode(meshping__fields *f, meshping_pins *m);

#endif
