/* SPDX-License-Identifier: Apache-2.0 */
/* E-mail for forgotten passwords, by the SMTP server of the configuration (libcurl), off the loop. */
#ifndef MESHPINGD_MAIL_H
#define MESHPINGD_MAIL_H

#include "meshpingd/server.h"

struct http_exchange;

#define MAIL_RESETS_WAITING_MAX 32 /* names that were asked for and not looked at yet; more are dropped */
#define MAIL_RUNNING_MAX 1         /* a dead SMTP server must not take all workers */
#define MAIL_RESET_MINUTES 60      /* a mailed link works this long */

/* False: no smtp_url, nothing is ever sent. */
bool mail_is_configured(const server_config *config);
/* INVALID: what of the configuration does not go together, in words. Good when there is no smtp_url. */
meshping_status mail_check(const server_config *config, meshping_error *err);
meshping_status mail_check_public_url(const char *url, meshping_error *err);
/* Sends `text` to one address, which must be one that http_text_is_email takes; what goes wrong is in the log. */
meshping_status mail_send(server *s, const char *to, const char *subject, const char *text, meshping_error *err);
/* Sends a test to one address, and answers the exchange when the SMTP server has taken it (204) or not (502 with why).
 */
void mail_test(struct http_exchange *x, const char *to);
/* The exchange goes away. */
void mail_test_abandon(struct http_exchange *x);
/* Remembers that somebody who says he is `name` has forgotten his password. What follows is not his to see. */
void mail_reset_ask(struct http_state *state, const char *name, const char *address);
/* Each second. */
void mail_reset_tick(struct http_state *state);

#endif
