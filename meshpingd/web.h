/* SPDX-License-Identifier: Apache-2.0 */
/* libwebsockets' odd corners, on the server's side: one context on the server's loop, TLS 1.3 only, our own listener.
 */
#ifndef MESHPINGD_WEB_H
#define MESHPINGD_WEB_H

#include "meshpingd/keys.h"
#include "meshpingd/server.h"

typedef struct web web;
struct lws;

/* Starts to serve on config.listen; *port is the real one. BUSY: the port is taken. */
meshping_status web_start(web **out, server *s, const server_keys *keys, uint16_t *port, meshping_error *err);
/* Reads the browsers' certificate anew; nobody is disconnected. On errors the old one stays. */
meshping_status web_reload(web *w, meshping_error *err);
/* Shows agents the key that is in force now; connections go on with what they have. */
meshping_status web_reload_agents(web *w, meshping_error *err);
/* It has made a request, or authenticated: its time for that is over well, and it makes no room for newcomers. */
void web_known(struct lws *wsi);
/*
 * LWS_CALLBACK_USER of a connection's protocol: it is to end, since its time for a request or for authentication is
 * over, or to make room for newcomers; `len` is which. 0: it need not.
 */
typedef enum web_end { WEB_END_LATE, WEB_END_CROWDED } web_end;
/* Takes no more connections and closes those there are. Run the loop afterwards until it is empty. */
void web_stop(web *w);
void web_free(web *w);

#endif
