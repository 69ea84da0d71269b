/* SPDX-License-Identifier: Apache-2.0 */
/* The live matrix: cells, and once a second what has changed. docs/API.md, Live. */
#include "common/log.h"
#include "meshpingd/planning.h"
#include "meshpingd/spread.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What viewers were told of a cell. */
typedef struct shown_cell {
    uint8_t state;
    uint8_t lost;
    uint32_t rtt_us; /* UINT32_MAX: none */
    int64_t seen_ms;
} shown_cell;

const char *live_agent_id(char *text, uint64_t id)
{
    snprintf(text, 17, "%016" PRIx64, id);
    return text;
}

/* ---- rows of cells ---- */

void live_forget(agent_entry *agent)
{
    free(agent->cells);
    free(agent->shown);
    agent->cells = NULL;
    agent->shown = NULL;
    agent->cell_count = 0;
}

static bool make_row(agent_entry *agent, size_t count)
{
    agent->cells = calloc(count ? count : 1, sizeof *agent->cells);
    agent->shown = calloc(count ? count : 1, sizeof *agent->shown);
    agent->cell_count = count;
    if (agent->cells && agent->shown)
        return true;
    live_forget(agent);
    return false;
}

meshping_cell *live_cell(server *s, agent_entry *agent, uint64_t target_id)
{
    size_t column = plan_column_of(s->plan, target_id);
    if (column == SIZE_MAX || (!agent->cells && !make_row(agent, s->plan->targets.count)))
        return NULL;
    return column < agent->cell_count ? &agent->cells[column] : NULL;
}

void live_refit(server *s, const plan *before)
{
    size_t count = before->targets.count;
    size_t *places = malloc((count + 1) * sizeof *places); /* where each column is now */
    for (size_t k = 0; places && k < count; k++)
        places[k] = plan_column_of(s->plan, before->targets.items[k].id);
    for (size_t i = 0; i < s->agent_count; i++) {
        agent_entry *agent = s->agents[i];
        meshping_cell *old = agent->cells;
        size_t old_count = agent->cell_count;
        if (!old)
            continue;
        free(agent->shown);
        if (make_row(agent, s->plan->targets.count) && places)
            for (size_t k = 0; k < old_count && k < count; k++)
                if (places[k] != SIZE_MAX)
                    agent->cells[places[k]] = old[k];
        free(old);
    }
    free(places);
}

/* ---- JSON ---- */

static void add_text(json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

static void add_number(json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

static int compare_names(const void *a, const void *b)
{
    return strcasecmp((*(agent_entry *const *)a)->record.host_name, (*(agent_entry *const *)b)->record.host_name);
}

static void flag_same_names(server *s)
{
    agent_entry **sorted = s->agent_count ? malloc(s->agent_count * sizeof *sorted) : NULL;
    if (!sorted)
        return; /* nobody, or the next who asks tries again */
    s->names_changed = false;
    memcpy(sorted, s->agents, s->agent_count * sizeof *sorted);
    qsort(sorted, s->agent_count, sizeof *sorted, compare_names);
    for (size_t i = 0; i < s->agent_count; i++)
        sorted[i]->same_host_name = (i && compare_names(&sorted[i - 1], &sorted[i]) == 0) ||
                                    (i + 1 < s->agent_count && compare_names(&sorted[i], &sorted[i + 1]) == 0);
    free(sorted);
}

/* null until the agent told it since the server's start. */
static json_object *load_json(const agent_entry *agent)
{
    if (!agent->has_load)
        return NULL;
    json_object *load = json_object_new_object();
    add_number(load, "cpu_permille", agent->load.cpu_permille);
    add_number(load, "load_permille", agent->load.load_permille);
    add_number(load, "late_probes", (int64_t)agent->load.late_probes);
    add_number(load, "overloaded", (int64_t)agent->load.overloaded);
    return load;
}

/* null until it was measured since the server's start. */
static void add_clock(json_object *object, const agent_entry *agent)
{
    int64_t offset_us, error_us;
    bool known = meshping_clock_read(&agent->clock, server_mono_ms() * 1000, &offset_us, &error_us);
    json_object_object_add(object, "clock_offset_us", known ? json_object_new_int64(offset_us) : NULL);
    json_object_object_add(object, "clock_error_us", known ? json_object_new_int64(error_us) : NULL);
    json_object_object_add(object, "clock_skewed", json_object_new_boolean(agent->clock_skewed));
}

json_object *live_labels_json(const char *labels)
{
    json_object *object = json_object_new_object();
    meshping_label label;
    while (meshping_labels_next(&labels, &label))
        add_text(object, label.key, label.value);
    return object;
}

json_object *live_agent_json(server *s, const agent_entry *agent)
{
    if (s->names_changed)
        flag_same_names(s);
    const meshping_agent_record *record = &agent->record;
    char id[17], fingerprint[MESHPING_FINGERPRINT_MAX];
    json_object *object = json_object_new_object();
    add_text(object, "id", live_agent_id(id, record->id));
    add_text(object, "host_name", record->host_name);
    add_text(object, "name", record->name);
    json_object_object_add(object, "labels", live_labels_json(record->labels));
    add_text(object, "state", meshping_agent_state_name(record->state));
    json_object_object_add(object, "online", json_object_new_boolean(agent->online));
    add_text(object, "version", record->version);
    add_text(object, "fingerprint", meshping_identity_fingerprint(fingerprint, record->public_key));
    add_text(object, "reported_address", record->reported_address);
    add_text(object, "observed_address", record->observed_address);
    add_text(object, "approved_addresses", record->approved_addresses);
    add_text(object, "advertised_address", record->advertised_address);
    add_text(object, "reason", record->reason);
    add_number(object, "first_seen_ms", record->first_seen_ms);
    add_number(object, "last_seen_ms", agent->last_seen_ms ? agent->last_seen_ms : record->last_seen_ms);
    add_number(object, "state_changed_ms", record->state_changed_ms);
    add_number(object, "buffered_samples", (int64_t)agent->buffered_samples);
    add_number(object, "dropped_samples", (int64_t)agent->dropped_samples);
    add_number(object, "quarantine_bytes", (int64_t)agent->quarantine_bytes);
    add_number(object, "targets_revision", (int64_t)agent->targets_revision);
    add_number(object, "refused_targets", (int64_t)agent->notes.refused_count);
    json_object_object_add(object, "load", load_json(agent));
    add_number(object, "revision", (int64_t)record->revision);
    add_clock(object, agent);
    json_object_object_add(object, "same_host_name", json_object_new_boolean(agent->same_host_name));
    return object;
}

json_object *live_target_json(const meshping_target *target)
{
    json_object *object = json_object_new_object();
    add_number(object, "id", (int64_t)target->id);
    add_text(object, "address", target->host);
    add_text(object, "name", target->name);
    add_number(object, "interval_ms", target->interval_ms);
    add_number(object, "timeout_ms", target->timeout_ms);
    add_number(object, "size", target->size);
    add_number(object, "dscp", target->dscp);
    add_number(object, "family", target->family);
    json_object_object_add(object, "labels", live_labels_json(target->labels));
    if (target->slow_ms)
        add_number(object, "slow_ms", target->slow_ms);
    if (target->lossy_percent)
        add_number(object, "lossy_percent", target->lossy_percent);
    if (meshping_target_is_paused(target, server_unix_ms())) {
        json_object *pause = json_object_new_object();
        add_text(pause, "reason", target->pause_reason);
        if (target->paused_until_ms)
            add_number(pause, "until_ms", target->paused_until_ms);
        json_object_object_add(object, "paused", pause);
    }
    if (target->ttl)
        add_number(object, "ttl", target->ttl);
    if (target->dont_fragment)
        json_object_object_add(object, "dont_fragment", json_object_new_boolean(true));
    if (target->source.family) {
        char text[MESHPING_ADDRESS_TEXT_MAX];
        add_text(object, "source", meshping_address_format(&target->source, text));
    }
    if (target->interface[0])
        add_text(object, "interface", target->interface);
    return object;
}

static json_object *column_json(const plan *p, size_t column)
{
    char id[17];
    json_object *object = live_target_json(&p->targets.items[column]);
    if (p->columns[column].agent_id)
        add_text(object, "agent", live_agent_id(id, p->columns[column].agent_id));
    return object;
}

static shown_cell look(const server *s, const agent_entry *agent, size_t column, int64_t now_us)
{
    static const meshping_cell empty;
    const meshping_target *target = &s->plan->targets.items[column];
    const plan_column *of = &s->plan->columns[column];
    const meshping_cell *cell = agent->cells && column < agent->cell_count ? &agent->cells[column] : &empty;
    shown_cell shown = {.rtt_us = UINT32_MAX};
    if (!agent->row || !meshping_row_has(agent->row, column)) {
        shown.state = MESHPING_CELL_UNASSIGNED;
        return shown;
    }
    shown.state = (uint8_t)(of->paused ? MESHPING_CELL_PAUSED
                                       : meshping_cell_get_state(cell, &of->thresholds, agent->online,
                                                                 target->interval_ms, target->timeout_ms, now_us));
    shown.lost = (uint8_t)meshping_cell_lost(cell);
    shown.seen_ms = cell->newest_seen_unix_us / 1000;
    if (cell->newest_seen_unix_us && cell->newest_outcome == MESHPING_OUTCOME_OK)
        shown.rtt_us = cell->newest_rtt_us;
    return shown;
}

/* ---- cells: a million of them are written as they are looked at, not made into objects first ---- */

#define CELL_TEXT_MAX (5 * TEXT_DIGITS_MAX + 8) /* its brackets and commas */

/* "[column,state,rtt_us,lost,seen_ms]"; column SIZE_MAX: without it. */
static void put_cell(text_buffer *out, const shown_cell *shown, size_t column, bool first)
{
    char text[CELL_TEXT_MAX], *to = text;
    if (!first)
        *to++ = ',';
    *to++ = '[';
    if (column != SIZE_MAX) {
        to = text_digits(to, (int64_t)column);
        *to++ = ',';
    }
    to = text_digits(to, shown->state);
    *to++ = ',';
    if (shown->rtt_us == UINT32_MAX) {
        memcpy(to, "null", 4);
        to += 4;
    } else {
        to = text_digits(to, shown->rtt_us);
    }
    *to++ = ',';
    to = text_digits(to, shown->lost);
    *to++ = ',';
    to = text_digits(to, shown->seen_ms > 0 ? shown->seen_ms : 0);
    *to++ = ']';
    text_add(out, text, (size_t)(to - text));
}

static void put_row_begin(text_buffer *out, const agent_entry *agent, bool first)
{
    char id[17];
    text_printf(out, "%s\"%s\":[", first ? "" : ",", live_agent_id(id, agent->record.id));
}

/* mark: what viewers were told is this. */
static void put_rows(server *s, text_buffer *out, int64_t now_us, bool mark)
{
    bool first = true;
    for (size_t i = 0; i < s->agent_count; i++) {
        agent_entry *agent = s->agents[i];
        if (!server_agent_has_row(agent))
            continue;
        bool marked = mark && (agent->cells || make_row(agent, s->plan->targets.count));
        put_row_begin(out, agent, first);
        first = false;
        for (size_t k = 0; k < s->plan->targets.count; k++) {
            shown_cell shown = look(s, agent, k, now_us);
            put_cell(out, &shown, SIZE_MAX, k == 0);
            if (marked && k < agent->cell_count)
                agent->shown[k] = shown;
        }
        text_puts(out, "]");
    }
}

/* What changed since it was shown last; marks it shown. True: something of this agent was written. */
static bool put_changes(server *s, text_buffer *out, agent_entry *agent, int64_t now_us, bool first)
{
    bool any = false;
    if (!agent->cells && !make_row(agent, s->plan->targets.count))
        return false;
    for (size_t k = 0; k < s->plan->targets.count && k < agent->cell_count; k++) {
        shown_cell shown = look(s, agent, k, now_us), *last = &agent->shown[k];
        if (shown.state == last->state && shown.lost == last->lost && shown.rtt_us == last->rtt_us &&
            shown.seen_ms == last->seen_ms)
            continue;
        *last = shown;
        if (!any)
            put_row_begin(out, agent, first);
        put_cell(out, &shown, k, !any);
        any = true;
    }
    if (any)
        text_puts(out, "]");
    return any;
}

/* The object without its closing brace, for what is written after it. Taken. */
static void put_open_object(text_buffer *out, json_object *object)
{
    size_t length = 0;
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &length);
    if (text)
        text_add(out, text, length - 1);
    out->failed = out->failed || !text;
    json_object_put(object);
}

static json_object *head(server *s, int64_t now_us)
{
    json_object *data = json_object_new_object();
    add_number(data, "time_ms", now_us / 1000);
    add_number(data, "version", (int64_t)s->live_version);
    json_object_object_add(data, "alarms", alarms_json(&s->alarms));
    return data;
}

/* ---- messages ---- */

static void drop_changes(server *s)
{
    text_dispose(&s->live_changes);
    s->live_looked = 0;
}

void live_put_snapshot(server *s, text_buffer *out, bool shown)
{
    const plan *p = planning_now(s);
    int64_t now_us = server_unix_ms() * 1000;
    json_object *data = head(s, now_us), *agents = json_object_new_array_ext((int)s->agent_count),
                *targets = json_object_new_array_ext((int)p->targets.count);
    add_number(data, "targets_revision", (int64_t)s->targets.revision);
    add_number(data, "interval_ms", s->config.interval_ms);
    for (size_t k = 0; k < p->targets.count; k++)
        json_object_array_add(targets, column_json(p, k));
    for (size_t i = 0; i < s->agent_count; i++)
        json_object_array_add(agents, live_agent_json(s, s->agents[i]));
    json_object_object_add(data, "agents", agents);
    json_object_object_add(data, "targets", targets);
    put_open_object(out, data);
    text_puts(out, ",\"cells\":{");
    put_rows(s, out, now_us, shown);
    text_puts(out, "}}");
    if (shown && !out->failed) {
        s->live_shown_version = s->live_version;
        drop_changes(s); /* it has them */
    }
}

void live_put_snapshot_message(server *s, text_buffer *out, bool shown)
{
    text_puts(out, "{\"event\":\"snapshot\",\"data\":");
    live_put_snapshot(s, out, shown);
    text_puts(out, "}");
}

/* ---- what has changed: a million cells at once would hold up everybody else ---- */

/* At the next agents; each is looked at once for a message. */
static void look_at_some(server *s, size_t count)
{
    text_buffer *out = &s->live_changes;
    const int64_t now_us = server_unix_ms() * 1000;
    if (!out->length)
        text_puts(out, LIVE_CHANGES_BEGIN);
    for (; count && s->live_looked < s->agent_count; count--) {
        agent_entry *agent = s->agents[s->live_looked++];
        if (server_agent_has_row(agent))
            put_changes(s, out, agent, now_us, out->length == strlen(LIVE_CHANGES_BEGIN));
    }
}

/* They go by the agents and targets of the last snapshot; else one is due, and has all. */
static bool changes_count(const server *s)
{
    return live_ws_viewers(s) && s->live_shown_version == s->live_version;
}

void live_turn(server *s)
{
    if (changes_count(s))
        look_at_some(s, spread_share(s->agent_count, SERVER_TURNS_A_SECOND));
    else
        drop_changes(s);
}

static void send_changes(server *s)
{
    size_t length = 0;
    json_object *rest = head(s, server_unix_ms() * 1000);
    const char *text = json_object_to_json_string_length(rest, JSON_C_TO_STRING_PLAIN, &length);
    text_puts(&s->live_changes, "},");
    if (text)
        text_add(&s->live_changes, text + 1, length - 1);
    s->live_changes.failed = s->live_changes.failed || !text;
    text_puts(&s->live_changes, "}");
    json_object_put(rest);
    live_ws_broadcast(s, &s->live_changes, false);
    s->live_looked = 0;
}

void live_tick(server *s)
{
    text_buffer text = {0};
    if (live_ws_viewers(s))
        planning_now(s);
    if (changes_count(s)) {
        look_at_some(s, s->agent_count);
        send_changes(s);
        return;
    }
    drop_changes(s);
    if (!live_ws_viewers(s))
        return;
    live_put_snapshot_message(s, &text, true);
    live_ws_broadcast(s, &text, true);
}
