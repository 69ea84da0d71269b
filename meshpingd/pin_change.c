/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/pin_change.h"

#include "common/hex.h"
#include "common/log.h"
#include "meshpingd/joining.h"
#include "meshpingd/keys.h"
#include "meshpingd/web.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTED_MAX 1000 /* agents in one answer */
#define PIN_TEXT (2 * MESHPING_PIN_LEN + 1)

static const meshping_pins unknown; /* what an agent has that was told and has not answered */

static bool equal(const meshping_pins *a, const meshping_pins *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static bool is_ready(const server *s, const agent_entry *agent)
{
    return agent->pins_known && equal(&agent->pins, &s->keys->pins);
}

/* It was away, or could not store it, when the key was changed: it needs a new passphrase. */
static bool is_left_behind(const server *s, const agent_entry *agent)
{
    const uint8_t *pin = s->keys->pins.pin;
    return (agent->record.state == MESHPING_AGENT_APPROVED || agent->record.state == MESHPING_AGENT_HOLD) &&
           agent->pins_known && !equal(&agent->pins, &unknown) && memcmp(agent->pins.pin, pin, MESHPING_PIN_LEN) != 0 &&
           memcmp(agent->pins.next, pin, MESHPING_PIN_LEN) != 0;
}

static bool is_waited_for(const server *s, const agent_entry *agent)
{
    return meshping_pins_have_next(&s->keys->pins) && agent->record.state == MESHPING_AGENT_APPROVED &&
           !is_ready(s, agent);
}

static size_t count_waiting(const server *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->agent_count; i++)
        count += is_waited_for(s, s->agents[i]);
    return count;
}

/* ---- the file ---- */

static void path_of(const server *s, char *out, size_t size, const char *suffix)
{
    snprintf(out, size, "%s/pins%s", s->config.state_dir, suffix);
}

static bool put_line(FILE *file, const agent_entry *agent)
{
    char pin[PIN_TEXT], next[PIN_TEXT];
    return fprintf(file, "%016" PRIx64 " %s %s\n", agent->record.id, hex_put(pin, agent->pins.pin, MESHPING_PIN_LEN),
                   hex_put(next, agent->pins.next, MESHPING_PIN_LEN)) > 0;
}

static bool read_pin(uint8_t pin[MESHPING_PIN_LEN], const char *text)
{
    return strlen(text) == 2 * (size_t)MESHPING_PIN_LEN && hex_get(pin, MESHPING_PIN_LEN, text);
}

meshping_status pin_change_open(server *s, meshping_error *err)
{
    char path[KEYS_PATH_MAX], line[128], pin[40], next[40];
    path_of(s, path, sizeof path, "");
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT)
        return MESHPING_OK;
    if (!file)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot read %s", path);
    while (fgets(line, sizeof line, file)) {
        uint64_t id;
        meshping_pins pins;
        if (sscanf(line, "%16" SCNx64 " %39s %39s", &id, pin, next) != 3 || !read_pin(pins.pin, pin) ||
            !read_pin(pins.next, next)) {
            log_warning("server", "%s: a damaged line is passed over", path);
            continue;
        }
        agent_entry *agent = server_agent_by_id(s, id);
        if (agent) {
            agent->pins = pins;
            agent->pins_known = true;
        }
    }
    fclose(file);
    return MESHPING_OK;
}

static void append(const server *s, const agent_entry *agent)
{
    char path[KEYS_PATH_MAX];
    path_of(s, path, sizeof path, "");
    FILE *file = fopen(path, "ae");
    bool good = file && put_line(file, agent);
    if (file)
        good = fclose(file) == 0 && good;
    if (!good)
        log_error("server", "cannot write %s: the agents are asked again after a restart", path);
}

/* All of it anew, and synced: a change begins or ends. */
static meshping_status rewrite(const server *s, meshping_error *err)
{
    char path[KEYS_PATH_MAX], temporary[KEYS_PATH_MAX];
    path_of(s, path, sizeof path, "");
    path_of(s, temporary, sizeof temporary, ".new");
    FILE *file = fopen(temporary, "we");
    bool good = file != NULL;
    for (size_t i = 0; i < s->agent_count && good; i++)
        good = !s->agents[i]->pins_known || put_line(file, s->agents[i]);
    good = good && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file)
        good = fclose(file) == 0 && good;
    if (good && rename(temporary, path) == 0)
        return MESHPING_OK;
    int code = errno;
    unlink(temporary);
    return meshping_error_set_errno(err, MESHPING_IO, code, "cannot write %s", path);
}

/* ---- agents ---- */

void pin_change_tell(agent_connection *c)
{
    const meshping_pins *pins = &c->server->keys->pins;
    agent_entry *agent = c->agent;
    meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE, .type = MESHPING_SERVER_MESSAGE_PIN_CHANGE};
    if (!agent || c->closing || agent->record.state == MESHPING_AGENT_BLACKLISTED || joining_is_waiting(c))
        return;
    /* one that never heard of a change has it from its passphrase */
    bool knows = agent->pins_known ? equal(&agent->pins, pins) : !meshping_pins_have_next(pins);
    if (knows || equal(&c->pins_told, pins))
        return;
    c->pins_told = message.u.pins = *pins;
    /* until it answers nobody knows what it has: it may store this, and its answer may be lost */
    agent->pins = unknown;
    agent->pins_known = true;
    append(c->server, agent);
    connection_send(c, &message);
}

static void tell_all(server *s)
{
    for (size_t i = 0; i < s->agent_count; i++)
        if (s->agents[i]->connection)
            pin_change_tell(s->agents[i]->connection);
}

void pin_change_stored(agent_connection *c, const meshping_pins *pins)
{
    agent_entry *agent = c->agent;
    if (equal(&c->pins_told, &unknown)) {
        connection_refuse(c, 1008, "pin_stored of what it was not told");
        return;
    }
    if (!equal(pins, &c->server->keys->pins))
        return; /* of an older word; the newer one is on its way */
    if (agent->pins_known && equal(&agent->pins, pins))
        return;
    agent->pins = *pins;
    agent->pins_known = true;
    append(c->server, agent);
    if (meshping_pins_have_next(pins) && !count_waiting(c->server))
        log_info("server", "every approved agent has stored the server's next key: it may be switched to");
}

void pin_change_moved(const server *s, agent_entry *to, const agent_entry *from)
{
    to->pins = from->pins;
    to->pins_known = from->pins_known;
    if (to->pins_known)
        append(s, to);
}

/* ---- administrators ---- */

static void note(server *s, const char *user, const char *text)
{
    log_info("server", "%s%s%s", text, user ? ", by " : "", user ? user : "");
    meshping_store_event_add(s->store, server_unix_ms(), "server_key", 0, user, text, NULL);
}

static meshping_status check_going_on(const server *s, meshping_error *err)
{
    return meshping_pins_have_next(&s->keys->pins)
               ? MESHPING_OK
               : meshping_error_set(err, MESHPING_STATE, "no change of the server's key is going on: begin one first");
}

meshping_status pin_change_begin(server *s, const char *user, meshping_error *err)
{
    char text[256], next[PIN_TEXT];
    meshping_status status = keys_next_make(s->keys, err);
    if (status != MESHPING_OK)
        return status;
    snprintf(text, sizeof text, "the server's key is being changed: the next one has the pin %s",
             hex_put(next, s->keys->pins.next, MESHPING_PIN_LEN));
    note(s, user, text);
    tell_all(s);
    return MESHPING_OK;
}

meshping_status pin_change_abort(server *s, const char *user, meshping_error *err)
{
    meshping_status status = check_going_on(s, err);
    if (status == MESHPING_OK)
        status = keys_next_drop(s->keys, err);
    if (status != MESHPING_OK)
        return status;
    note(s, user, "the change of the server's key was given up: the one in use stays");
    tell_all(s);
    return MESHPING_OK;
}

/* They carry the old key's pin: nobody can join with them any more, and who tries would suspect a man in the middle. */
static size_t revoke_open_passphrases(server *s, const char *user)
{
    meshping_passphrase_record *records = NULL;
    size_t count = 0, revoked = 0;
    meshping_error err = {0};
    meshping_status status = meshping_store_passphrases(s->store, &records, &count, &err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        if (records[i].revoked || records[i].expires_ms <= server_unix_ms())
            continue;
        status = server_passphrase_revoke(s, records[i].tid, user, &err);
        revoked += status == MESHPING_OK;
    }
    meshping_free(records);
    if (status != MESHPING_OK)
        log_error("server", "not all open passphrases could be revoked: %s", err.message);
    return revoked;
}

meshping_status pin_change_switch(server *s, bool give_up, const char *user, meshping_error *err)
{
    char text[256], pin[PIN_TEXT];
    size_t waiting = count_waiting(s);
    meshping_status status = check_going_on(s, err);
    if (status == MESHPING_OK && waiting && !give_up)
        status = meshping_error_set(err, MESHPING_STATE,
                                    "%zu approved agents have not stored the next key: wait for them, or give them up "
                                    "(each then needs a new passphrase)",
                                    waiting);
    if (status == MESHPING_OK) /* before anything is written of agents that are given up */
        status = keys_next_check(s->keys, err);
    for (size_t i = 0; i < s->agent_count && status == MESHPING_OK; i++) {
        agent_entry *agent = s->agents[i];
        if (!agent->pins_known ||
            equal(&agent->pins, &unknown)) /* who joins later knows the new key, and has no line */
            memcpy(agent->pins.pin, s->keys->pins.pin, MESHPING_PIN_LEN);
        agent->pins_known = true;
    }
    if (status == MESHPING_OK)
        status = rewrite(s, err);
    if (status == MESHPING_OK)
        status = keys_next_take(s->keys, s->config.advertise, err);
    if (status == MESHPING_OK)
        status = web_reload_agents(s->web, err);
    if (status != MESHPING_OK)
        return status;
    keys_next_taken(s->keys);
    size_t revoked = revoke_open_passphrases(s, user);
    snprintf(text, sizeof text,
             "the server has its next key, with the pin %s; %zu agents were given up, %zu open passphrases revoked",
             hex_put(pin, s->keys->pins.pin, MESHPING_PIN_LEN), waiting, revoked);
    note(s, user, text);
    tell_all(s);
    return MESHPING_OK;
}

/* ---- telling ---- */

static json_object *agent_json(const agent_entry *agent)
{
    char id[17];
    json_object *object = json_object_new_object();
    int64_t seen_ms = agent->last_seen_ms ? agent->last_seen_ms : agent->record.last_seen_ms;
    json_object_object_add(object, "id", json_object_new_string(live_agent_id(id, agent->record.id)));
    json_object_object_add(object, "host_name", json_object_new_string(agent->record.host_name));
    json_object_object_add(object, "online", json_object_new_boolean(agent->online));
    json_object_object_add(object, "last_seen_ms", json_object_new_int64(seen_ms));
    return object;
}

static json_object *list_json(server *s, bool (*is_in)(const server *s, const agent_entry *agent))
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < s->agent_count && json_object_array_length(list) < LISTED_MAX; i++)
        if (is_in(s, s->agents[i]))
            json_object_array_add(list, agent_json(s->agents[i]));
    return list;
}

json_object *pin_change_json(server *s)
{
    char pin[PIN_TEXT];
    const meshping_pins *pins = &s->keys->pins;
    size_t approved = 0;
    json_object *object = json_object_new_object();
    for (size_t i = 0; i < s->agent_count; i++)
        approved += s->agents[i]->record.state == MESHPING_AGENT_APPROVED;
    json_object_object_add(object, "pin", json_object_new_string(hex_put(pin, pins->pin, MESHPING_PIN_LEN)));
    json_object_object_add(
        object, "next",
        meshping_pins_have_next(pins) ? json_object_new_string(hex_put(pin, pins->next, MESHPING_PIN_LEN)) : NULL);
    json_object_object_add(object, "approved", json_object_new_int64((int64_t)approved));
    json_object_object_add(object, "waiting_count", json_object_new_int64((int64_t)count_waiting(s)));
    json_object_object_add(object, "waiting", list_json(s, is_waited_for));
    json_object_object_add(object, "left_behind", list_json(s, is_left_behind));
    return object;
}
