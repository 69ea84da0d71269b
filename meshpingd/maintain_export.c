/* SPDX-License-Identifier: Apache-2.0 */
/* Samples as CSV or JSON lines, in a stream: nothing is held but a stretch of one agent. */
#include "common/outcome.h"
#include "meshpingd/csv.h"
#include "meshpingd/maintain.h"
#include "meshpingd/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct exporting {
    const maintain_options *options;
    FILE *out;
    meshping_store *store;
    meshping_agent_record *agents;
    size_t agent_count;
    meshping_target_list targets; /* all that ever were, by id */
    const meshping_agent_record *agent;
    uint64_t samples;
    int64_t minute; /* whose text is in minute_text */
    char minute_text[32];
} exporting;

static const struct {
    uint16_t flag;
    const char *name;
} flag_names[] = {
    {MESHPING_FLAG_LATE_SEND, "late_send"}, {MESHPING_FLAG_CLOCK, "clock"},
    {MESHPING_FLAG_RX_DROPS, "rx_drops"},   {MESHPING_FLAG_COARSE_TIME, "coarse_time"},
    {MESHPING_FLAG_LATE_DATA, "late_data"},
};

/* ---- who and what ---- */

static const meshping_target *target_of(const exporting *e, uint64_t id)
{
    size_t low = 0, high = e->targets.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (e->targets.items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->targets.count && e->targets.items[low].id == id ? &e->targets.items[low] : NULL;
}

static bool agent_matches(const meshping_agent_record *agent, const char *word)
{
    char id[17];
    snprintf(id, sizeof id, "%016" PRIx64, agent->id);
    return strcmp(id, word) == 0 || strcmp(agent->host_name, word) == 0 || strcmp(agent->name, word) == 0;
}

static bool target_matches(const meshping_target *target, const char *word)
{
    char id[24], host[MESHPING_HOST_MAX];
    snprintf(id, sizeof id, "%" PRIu64, target->id);
    return strcmp(id, word) == 0 || strcmp(target->name, word) == 0 ||
           (meshping_host_canonical(host, word, NULL) == MESHPING_OK && strcmp(host, target->host) == 0);
}

static bool agent_wanted(const exporting *e, const meshping_agent_record *agent)
{
    const maintain_options *o = e->options;
    bool wanted = o->agent_count == 0;
    for (size_t i = 0; !wanted && i < o->agent_count; i++)
        wanted = agent_matches(agent, o->agents[i]);
    return wanted;
}

static bool target_wanted(const exporting *e, const meshping_target *target)
{
    const maintain_options *o = e->options;
    bool wanted = o->target_count == 0;
    for (size_t i = 0; !wanted && target && i < o->target_count; i++)
        wanted = target_matches(target, o->targets[i]);
    return wanted;
}

/* An empty answer to a misspelled name would be taken for "nothing was measured". */
static meshping_status check_filters(const exporting *e, meshping_error *err)
{
    const maintain_options *o = e->options;
    for (size_t i = 0; i < o->agent_count; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < e->agent_count; k++)
            found = agent_matches(&e->agents[k], o->agents[i]);
        if (!found)
            return meshping_error_set(err, MESHPING_NOT_FOUND, "there is no agent \"%s\"", o->agents[i]);
    }
    for (size_t i = 0; i < o->target_count; i++) {
        bool found = false;
        for (size_t k = 0; !found && k < e->targets.count; k++)
            found = target_matches(&e->targets.items[k], o->targets[i]);
        if (!found)
            return meshping_error_set(err, MESHPING_NOT_FOUND, "there never was a target \"%s\"", o->targets[i]);
    }
    return MESHPING_OK;
}

/* ---- text ---- */

static void put_json(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", *text);
        else
            fputc(*text, out);
    }
    fputc('"', out);
}

/* RFC 3339 with microseconds; the date is worked out once a minute. */
static void put_time(exporting *e, int64_t unix_us)
{
    int64_t minute = unix_us / 60000000 - (unix_us % 60000000 < 0);
    int64_t rest = unix_us - minute * 60000000;
    if (minute != e->minute || !e->minute_text[0]) {
        time_t seconds = (time_t)(minute * 60);
        struct tm tm = {0};
        gmtime_r(&seconds, &tm);
        strftime(e->minute_text, sizeof e->minute_text, "%Y-%m-%dT%H:%M:", &tm);
        e->minute = minute;
    }
    fprintf(e->out, "%s%02d.%06dZ", e->minute_text, (int)(rest / 1000000), (int)(rest % 1000000));
}

static void put_flags(FILE *out, uint16_t flags, const char *before, const char *between, const char *after)
{
    bool first = true;
    for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++)
        if (flags & flag_names[i].flag) {
            fprintf(out, "%s%s%s%s", first ? "" : between, before, flag_names[i].name, after);
            first = false;
        }
}

static void put_csv_line(exporting *e, const meshping_target *target, uint64_t target_id, const meshping_sample *sample)
{
    char outcome[OUTCOME_TEXT_MAX];
    fprintf(e->out, "%016" PRIx64 ",", e->agent->id);
    csv_put(e->out, e->agent->host_name);
    fprintf(e->out, ",%" PRIu64 ",", target_id);
    csv_put(e->out, target ? target->host : "");
    fputc(',', e->out);
    csv_put(e->out, target ? target->name : "");
    fputc(',', e->out);
    put_time(e, sample->slot_unix_us);
    fprintf(e->out, ",%s,", outcome_text(outcome, sample->outcome));
    if (sample->outcome == MESHPING_OUTCOME_OK)
        fprintf(e->out, "%" PRIu32, sample->rtt_us);
    fputc(',', e->out);
    put_flags(e->out, sample->flags, "", " ", "");
    fputc('\n', e->out);
}

static void put_json_line(exporting *e, const meshping_target *target, uint64_t target_id,
                          const meshping_sample *sample)
{
    char outcome[OUTCOME_TEXT_MAX];
    fprintf(e->out, "{\"agent_id\":\"%016" PRIx64 "\",\"agent\":", e->agent->id);
    put_json(e->out, e->agent->host_name);
    fprintf(e->out, ",\"target_id\":%" PRIu64 ",\"target\":", target_id);
    put_json(e->out, target ? target->host : "");
    fputs(",\"name\":", e->out);
    put_json(e->out, target ? target->name : "");
    fputs(",\"time\":\"", e->out);
    put_time(e, sample->slot_unix_us);
    fprintf(e->out, "\",\"outcome\":\"%s\",\"rtt_us\":", outcome_text(outcome, sample->outcome));
    if (sample->outcome == MESHPING_OUTCOME_OK)
        fprintf(e->out, "%" PRIu32, sample->rtt_us);
    else
        fputs("null", e->out);
    fputs(",\"flags\":[", e->out);
    put_flags(e->out, sample->flags, "\"", ",", "\"");
    fputs("]}\n", e->out);
}

static meshping_status put_samples(void *user, uint64_t target_id, const meshping_sample *samples, size_t count)
{
    exporting *e = user;
    const meshping_maintain_watch *watch = &e->options->watch;
    const meshping_target *target = target_of(e, target_id);
    if (!target_wanted(e, target))
        return MESHPING_OK;
    for (size_t i = 0; i < count; i++) {
        if (e->options->json)
            put_json_line(e, target, target_id, &samples[i]);
        else
            put_csv_line(e, target, target_id, &samples[i]);
    }
    e->samples += count;
    if (ferror(e->out))
        return MESHPING_IO;
    return watch->progress(watch->user, "samples", e->samples, 0) ? MESHPING_OK : MESHPING_STATE;
}

/* ---- all of it ---- */

static meshping_status export_all(exporting *e, meshping_error *err)
{
    const maintain_options *o = e->options;
    meshping_status status = meshping_store_agents(e->store, &e->agents, &e->agent_count, err);
    if (status == MESHPING_OK)
        status = meshping_store_all_targets(e->store, &e->targets, err);
    if (status == MESHPING_OK)
        status = check_filters(e, err);
    if (status == MESHPING_OK && !o->json)
        fputs("agent_id,agent,target_id,target,name,time,outcome,rtt_us,flags\n", e->out);
    for (size_t i = 0; status == MESHPING_OK && i < e->agent_count; i++) {
        e->agent = &e->agents[i];
        if (agent_wanted(e, e->agent))
            status = meshping_store_scan(e->store, e->agent->id, o->from_us, o->to_us, put_samples, &o->watch, e, err);
    }
    if (ferror(e->out) || (status == MESHPING_OK && fflush(e->out) != 0))
        status = meshping_error_set_errno(err, MESHPING_IO, errno, "cannot write %s",
                                          o->output ? o->output : "to standard output");
    return status;
}

meshping_status maintain_export(const maintain_options *options, uint64_t *samples, meshping_error *err)
{
    char path[MAINTAIN_PATH_MAX];
    exporting e = {.options = options, .out = stdout};
    FILE *file = NULL;
    meshping_store_options store_options;
    meshping_store_options_init(&store_options);
    snprintf(path, sizeof path, "%s/%s", options->state_dir, SERVER_DATABASE_NAME);
    store_options.path = path;
    store_options.read_only = true;
    meshping_status status = meshping_store_open(&e.store, &store_options, err);
    if (status == MESHPING_OK && options->output) {
        file = fopen(options->output, "wxe"); /* replaces nothing */
        if (!file)
            status = meshping_error_set_errno(err, MESHPING_IO, errno, "cannot make %s", options->output);
        e.out = file;
    }
    if (status == MESHPING_OK)
        status = export_all(&e, err);
    if (file && fclose(file) != 0 && status == MESHPING_OK)
        status = meshping_error_set_errno(err, MESHPING_IO, errno, "cannot write %s", options->output);
    if (file && options->output && status != MESHPING_OK)
        unlink(options->output); /* half an export looks like a whole one */
    *samples = e.samples;
    meshping_free(e.agents);
    meshping_target_list_dispose(&e.targets);
    meshping_store_close(e.store);
    return status;
}
