/* SPDX-License-Identifier: Apache-2.0 */
/* The agents' WebSocket endpoint: docs/PROTOCOL.md, the server's side. */
#ifndef MESHPINGD_AGENTS_H
#define MESHPINGD_AGENTS_H

#include <libwebsockets.h>

int agents_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
extern const size_t agents_per_session_size;

#endif
