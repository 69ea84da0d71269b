/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/pushing.h"

#include "meshpingd/connection.h"
#include <string.h>

void pushing_forget(agent_connection *c)
{
    target_view_drop(c->push.told);
    target_update_drop(c->push.sending);
    c->push = (target_push){0};
}

/* For people: which revision of the list of targets the agent has, as far as it is the agent's. */
static void note_applied(agent_connection *c)
{
    if (c->push.told && c->push.applied == c->push.base)
        c->agent->targets_revision = c->push.told->plan->targets.revision;
}

static void finish(agent_connection *c)
{
    target_push *push = &c->push;
    if (push->sending->count)
        push->base = push->sending->now->revision;
    target_view_drop(push->told);
    push->told = target_view_keep(push->sending->now);
    target_update_drop(push->sending);
    push->sending = NULL;
    note_applied(c);
}

static void begin(agent_connection *c)
{
    target_push *push = &c->push;
    server *s = c->server;
    if (!c->agent->row || (push->told && push->told->plan == s->plan &&
                           memcmp(push->told->row, c->agent->row, plan_words(s->plan) * sizeof *c->agent->row) == 0)) {
        c->targets_due = !c->agent->row; /* no memory for it yet: with the next chance */
        return;
    }
    push->part = 0;
    push->sending = target_updates_get(&s->updates, push->told, push->base, s->plan, c->agent->row);
    if (push->sending && !push->sending->count) {
        finish(c); /* what it has is the same in the newer plan */
        c->targets_due = false;
    }
}

void pushing_next(agent_connection *c)
{
    target_push *push = &c->push;
    if (!push->sending)
        begin(c);
    if (!push->sending)
        return; /* nothing; or no memory, then targets_due stays */
    const target_part *part = target_update_part(push->sending, push->part);
    if (!part) {
        connection_refuse(c, 1011, "out of memory");
        return;
    }
    connection_send_text(c, part->text, part->length);
    if (++push->part == push->sending->count)
        finish(c); /* what has changed meanwhile is seen with the next look: targets_due stays */
}

void pushing_applied(agent_connection *c, uint64_t revision)
{
    c->push.applied = revision;
    note_applied(c);
}
