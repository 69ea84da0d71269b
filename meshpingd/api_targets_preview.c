/* SPDX-License-Identifier: Apache-2.0 */
/* What replacing the list of targets would do, without doing it. */
#include "meshpingd/http.h"
#include "meshpingd/planning.h"
#include "meshpingd/problem.h"
#include "meshpingd/targets_change.h"

#include <stdlib.h>

static json_object *without_id(const meshping_target *target)
{
    json_object *json = live_target_json(target);
    json_object_object_del(json, "id");
    return json;
}

/* As people see them: by all the fields that the API shows. */
static bool is_same(const meshping_target *before, const meshping_target *after)
{
    json_object *x = without_id(before), *y = without_id(after);
    bool same = json_object_equal(x, y) == 1;
    json_object_put(x);
    json_object_put(y);
    return same;
}

static json_object *change_json(const meshping_target *before, const meshping_target *after)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "before", without_id(before));
    json_object_object_add(json, "after", without_id(after));
    return json;
}

/* Targets that stay get their ids; new ones, ids that no target has. */
static json_object *difference(const meshping_target_list *before, meshping_target_list *after)
{
    const meshping_target **old = targets_sorted(before), **new = targets_sorted(after);
    for (size_t i = 0; i < after->count; i++)
        after->items[i].id = UINT64_MAX - i;
    json_object *json = NULL;
    if (old && new) {
        json_object *added = json_object_new_array(), *removed = json_object_new_array(),
                    *changed = json_object_new_array();
        size_t i = 0, k = 0, kept = 0;
        while (i < before->count || k < after->count) {
            int order = i == before->count ? 1 : k == after->count ? -1 : targets_compare(&old[i], &new[k]);
            if (order < 0) {
                json_object_array_add(removed, without_id(old[i++]));
            } else if (order > 0) {
                json_object_array_add(added, without_id(new[k++]));
            } else {
                after->items[new[k] - after->items].id = old[i]->id;
                if (is_same(old[i], new[k]))
                    kept++;
                else
                    json_object_array_add(changed, change_json(old[i], new[k]));
                i++;
                k++;
            }
        }
        json = json_object_new_object();
        json_object_object_add(json, "added", added);
        json_object_object_add(json, "removed", removed);
        json_object_object_add(json, "changed", changed);
        json_object_object_add(json, "kept", json_object_new_uint64(kept));
    }
    free(old);
    free(new);
    return json;
}

void api_targets_preview(http_exchange *x)
{
    server *s = x->server;
    meshping_error err = {0};
    planning_difference pairs;
    meshping_target_list list;
    if (!api_targets_take(x, &list))
        return;
    json_object *json = difference(&s->targets, &list);
    meshping_status status = planning_preview(s, NULL, 0, &list, &pairs, &err);
    meshping_target_list_dispose(&list);
    if (status != MESHPING_OK) {
        json_object_put(json);
        http_respond_error(x, &err);
        return;
    }
    if (json) {
        json_object_object_add(json, "revision", json_object_new_uint64(s->targets.revision));
        planning_difference_json(json, &pairs);
    }
    http_respond_json(x, 200, json);
}
