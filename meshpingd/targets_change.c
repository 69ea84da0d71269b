/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/targets_change.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMED_MAX 5 /* of each kind; a row of the audit log has no room for all */

int targets_compare(const void *a, const void *b)
{
    const meshping_target *x = *(const meshping_target *const *)a, *y = *(const meshping_target *const *)b;
    int order = strcmp(x->host, y->host);
    return order ? order : (int)x->family - (int)y->family;
}

const meshping_target **targets_sorted(const meshping_target_list *list)
{
    const meshping_target **all = malloc((list->count + 1) * sizeof *all);
    for (size_t i = 0; all && i < list->count; i++)
        all[i] = &list->items[i];
    if (all)
        qsort(all, list->count, sizeof *all, targets_compare);
    return all;
}

/* ---- in words ---- */

typedef struct words {
    text_buffer paused, resumed;
    size_t added, removed, paused_count, resumed_count;
} words;

static void put_time(text_buffer *out, int64_t unix_ms)
{
    char text[32];
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    text_puts(out, text);
}

static void put_pause(words *w, const meshping_target *target)
{
    if (w->paused_count++ >= NAMED_MAX)
        return;
    text_printf(&w->paused, "%s%s (%s", w->paused_count > 1 ? ", " : "", target->host, target->pause_reason);
    if (target->paused_until_ms)
        text_puts(&w->paused, ", until ");
    if (target->paused_until_ms)
        put_time(&w->paused, target->paused_until_ms);
    text_puts(&w->paused, ")");
}

static void put_resumed(words *w, const meshping_target *target)
{
    if (w->resumed_count++ < NAMED_MAX)
        text_printf(&w->resumed, "%s%s (%s)", w->resumed_count > 1 ? ", " : "", target->host, target->pause_reason);
}

/* NULL: it is not in the list. */
static void compare_pauses(words *w, const meshping_target *before, const meshping_target *after, int64_t now_ms)
{
    bool was = before && meshping_target_is_paused(before, now_ms),
         is = after && meshping_target_is_paused(after, now_ms);
    bool same = was && is && strcmp(before->pause_reason, after->pause_reason) == 0 &&
                before->paused_until_ms == after->paused_until_ms;
    if (is && !same)
        put_pause(w, after);
    else if (was && !is)
        put_resumed(w, before);
}

static void put_kind(text_buffer *out, const char *kind, const text_buffer *names, size_t count)
{
    if (!count)
        return;
    text_printf(out, "; %s %s", kind, names->data ? names->data : "");
    if (count > NAMED_MAX)
        text_printf(out, " and %zu others", count - NAMED_MAX);
}

void targets_change_text(text_buffer *out, const meshping_target_list *before, const meshping_target_list *after,
                         int64_t now_ms)
{
    const meshping_target **old = targets_sorted(before), **new = targets_sorted(after);
    words w = {0};
    size_t i = 0, k = 0;
    while (old && new && (i < before->count || k < after->count)) {
        int order = i == before->count ? 1 : k == after->count ? -1 : targets_compare(&old[i], &new[k]);
        const meshping_target *gone = order <= 0 ? old[i++] : NULL, *come = order >= 0 ? new[k++] : NULL;
        w.added += !gone;
        w.removed += !come;
        compare_pauses(&w, gone, come, now_ms);
    }
    text_printf(out, "%zu targets, %zu added, %zu removed", after->count, w.added, w.removed);
    put_kind(out, "paused:", &w.paused, w.paused_count);
    put_kind(out, "resumed:", &w.resumed, w.resumed_count);
    text_dispose(&w.paused);
    text_dispose(&w.resumed);
    free(old);
    free(new);
}
