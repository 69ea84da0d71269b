/* SPDX-License-Identifier: Apache-2.0 */
/* Looks every 15 s, in a worker, whether the list of breached passwords can be read; an alarm lasts while it cannot.
 */
#include "meshpingd/auth.h"

#include "common/log.h"
#include "meshpingd/breached.h"
#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 15000

struct breached_look {
    uv_work_t work;
    struct http_state *state; /* NULL: the server stops */
    char path[sizeof(((server_config *)0)->breached_passwords)];
    meshping_status status;
    meshping_error error;
};

static void work(uv_work_t *request)
{
    struct breached_look *look = request->data;
    breached_about about;
    look->status = breached_check(&about, look->path, &look->error);
}

void auth_breached_failed(struct http_state *state, const meshping_error *err)
{
    char text[MESHPING_ERROR_MESSAGE_MAX];
    snprintf(text, sizeof text, "no password can be set, as the list of breached ones cannot be used: %.150s",
             err->message);
    alarm_raise(&state->server->alarms, ALARM_BREACHED, server_unix_ms(), text);
}

static void after_work(uv_work_t *request, int cancelled)
{
    struct breached_look *look = request->data;
    struct http_state *state = look->state;
    (void)cancelled; /* nobody cancels */
    if (state) {
        state->breached_look = NULL;
        if (look->status == MESHPING_OK)
            alarm_clear(&state->server->alarms, ALARM_BREACHED, server_unix_ms());
        else
            auth_breached_failed(state, &look->error);
    }
    free(look);
}

void auth_breached_tick(struct http_state *state, int64_t now_ms)
{
    const char *path = state->server->config.breached_passwords;
    if (!*path || state->breached_look || now_ms < state->breached_due_ms)
        return;
    struct breached_look *look = calloc(1, sizeof *look);
    if (!look)
        return;
    look->state = state;
    look->work.data = look;
    snprintf(look->path, sizeof look->path, "%s", path);
    state->breached_look = look;
    state->breached_due_ms = now_ms + LOOK_MS;
    uv_queue_work(&state->server->loop, &look->work, work, after_work);
}

void auth_breached_stop(struct http_state *state)
{
    if (state->breached_look)
        state->breached_look->state = NULL;
    state->breached_look = NULL;
}
