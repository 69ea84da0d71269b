/* SPDX-License-Identifier: Apache-2.0 */
#include "core/target.h"

#include "base/alloc.h"
#include "core/address.h"
#include <meshping/utf8.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX ((UINT64_C(1) << 53) - 1) /* JSON numbers keep it exactly */

void meshping_target_init(meshping_target *target)
{
    *target = (meshping_target){
        .interval_ms = MESHPING_INTERVAL_MS_DEFAULT,
        .timeout_ms = MESHPING_TIMEOUT_MS_DEFAULT,
        .size = MESHPING_SIZE_DEFAULT,
    };
}

meshping_status meshping__name_check(const char *name, meshping_error *err)
{
    if (!memchr(name, 0, MESHPING_TARGET_NAME_MAX))
        return meshping_error_set(err, MESHPING_INVALID, "name is longer than %d bytes", MESHPING_TARGET_NAME_MAX - 1);
    for (const char *at = name; *at;) {
        uint32_t character;
        size_t length = meshping_utf8_read(&character, at);
        if (length == 0)
            return meshping_error_set(err, MESHPING_INVALID, "name is not UTF-8");
        if (meshping_utf8_is_control(character))
            return meshping_error_set(err, MESHPING_INVALID, "name holds a control character");
        at += length;
    }
    return MESHPING_OK;
}

static meshping_status check_range(const char *field, uint64_t value, uint64_t min, uint64_t max, meshping_error *err)
{
    if (value >= min && value <= max)
        return MESHPING_OK;
    return meshping_error_set(err, MESHPING_INVALID, "%s is %llu, allowed are %llu to %llu", field,
                              (unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
}

const char *meshping__not_a_hosts(const meshping_address *address)
{
    static const uint8_t zero[16], ones[4] = {0xff, 0xff, 0xff, 0xff};
    uint8_t first = address->bytes[0];

    if (memcmp(address->bytes, zero, sizeof zero) == 0)
        return "the unspecified address";
    if (address->family == MESHPING_FAMILY_IPV4 ? first >= 224 && first < 240 : first == 0xff)
        return "a multicast address";
    if (address->family == MESHPING_FAMILY_IPV4 && memcmp(address->bytes, ones, sizeof ones) == 0)
        return "the broadcast address";
    return NULL;
}

static meshping_status check_host(char *canonical, meshping_address *address, const meshping_target *target,
                                  meshping_error *err)
{
    if (!memchr(target->host, 0, sizeof target->host))
        return meshping_error_set(err, MESHPING_INVALID, "host is longer than %d bytes", MESHPING_HOST_MAX - 1);
    meshping_status status = meshping__host_parse(canonical, address, target->host, err);
    if (status != MESHPING_OK)
        return status;
    if (target->family != MESHPING_FAMILY_NONE && target->family != MESHPING_FAMILY_IPV4 &&
        target->family != MESHPING_FAMILY_IPV6)
        return meshping_error_set(err, MESHPING_INVALID, "family is %u, allowed are 0 (any), 4 and 6", target->family);
    if (address->family == MESHPING_FAMILY_NONE)
        return MESHPING_OK;
    if (target->family != MESHPING_FAMILY_NONE && address->family != target->family)
        return meshping_error_set(err, MESHPING_INVALID, "family is IPv%u, but host %s is IPv%u", target->family,
                                  target->host, address->family);
    /* The kernel would take the first link that has a route: the loss of one that was never meant. RFC 4007, 6. */
    if (meshping__needs_zone(address) && !strchr(target->host, '%') && !target->interface[0])
        return meshping_error_set(err, MESHPING_INVALID,
                                  "host %s is on a link, and not told which: write %.45s%%eth0, or give the interface",
                                  target->host, target->host);
    /* an echo request to these is answered from another address, if at all: no reply could ever be believed */
    const char *what = meshping__not_a_hosts(address);
    return what ? meshping_error_set(err, MESHPING_INVALID, "host %s is %s", target->host, what) : MESHPING_OK;
}

static meshping_status check_source(const meshping_target *target, const meshping_address *address, meshping_error *err)
{
    char text[MESHPING_ADDRESS_TEXT_MAX];
    const meshping_address *source = &target->source;

    if (source->family == MESHPING_FAMILY_NONE)
        return MESHPING_OK;
    if ((source->family != MESHPING_FAMILY_IPV4 && source->family != MESHPING_FAMILY_IPV6) || source->scope_id)
        return meshping_error_set(err, MESHPING_INVALID, "source is not an IP address without a zone");
    meshping_address_format(source, text);
    if (meshping__not_a_hosts(source))
        return meshping_error_set(err, MESHPING_INVALID, "source %s is %s", text, meshping__not_a_hosts(source));
    uint8_t family = address->family ? address->family : target->family;
    if (family && family != source->family)
        return meshping_error_set(err, MESHPING_INVALID, "source %s is IPv%u, but host %s is to be reached by IPv%u",
                                  text, source->family, target->host, family);
    return MESHPING_OK;
}

static meshping_status check_interface(const char *name, meshping_error *err)
{
    if (!memchr(name, 0, MESHPING_INTERFACE_MAX))
        return meshping_error_set(err, MESHPING_INVALID, "interface is longer than %d characters",
                                  MESHPING_INTERFACE_MAX - 1);
    if (!meshping__interface_name_ok(name))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "interface '%s' is not the name of one: letters, digits, '.', '_', '-' and '@'",
                                  name);
    return MESHPING_OK;
}

static meshping_status check_pause(const meshping_target *target, meshping_error *err)
{
    meshping_error inner = {0};
    meshping_status status = meshping__name_check(target->pause_reason, &inner);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "the reason of the pause: as a %s", inner.message);
    if (target->paused_until_ms < 0 || target->paused_until_ms > MESHPING_PAUSE_UNTIL_MS_MAX)
        return meshping_error_set(err, MESHPING_INVALID, "paused_until_ms is %lld, allowed are 0 to %lld",
                                  (long long)target->paused_until_ms, (long long)MESHPING_PAUSE_UNTIL_MS_MAX);
    if (target->paused_until_ms && !target->pause_reason[0])
        return meshping_error_set(err, MESHPING_INVALID, "a pause needs a reason");
    return MESHPING_OK;
}

bool meshping_target_is_paused(const meshping_target *target, int64_t now_unix_ms)
{
    return target->pause_reason[0] && (!target->paused_until_ms || target->paused_until_ms > now_unix_ms);
}

meshping_status meshping__target_check(char *host, meshping_address *address, const meshping_target *target,
                                       meshping_error *err)
{
    meshping_status status = check_host(host, address, target, err);
    if (status == MESHPING_OK)
        status = meshping__name_check(target->name, err);
    if (status == MESHPING_OK)
        status = check_range("id", target->id, 0, ID_MAX, err);
    if (status == MESHPING_OK)
        status =
            check_range("interval_ms", target->interval_ms, MESHPING_INTERVAL_MS_MIN, MESHPING_INTERVAL_MS_MAX, err);
    if (status == MESHPING_OK)
        status = check_range("timeout_ms", target->timeout_ms, MESHPING_TIMEOUT_MS_MIN, MESHPING_TIMEOUT_MS_MAX, err);
    if (status == MESHPING_OK)
        status = check_range("size", target->size, MESHPING_SIZE_MIN, MESHPING_SIZE_MAX, err);
    if (status == MESHPING_OK)
        status = check_range("dscp", target->dscp, 0, 63, err);
    if (status == MESHPING_OK)
        status = check_source(target, address, err);
    if (status == MESHPING_OK)
        status = check_interface(target->interface, err);
    if (status == MESHPING_OK)
        status = check_range("slow_ms", target->slow_ms, 0, MESHPING_SLOW_MS_MAX, err);
    if (status == MESHPING_OK)
        status = check_range("lossy_percent", target->lossy_percent, 0, 100, err);
    if (status == MESHPING_OK)
        status = check_pause(target, err);
    return status;
}

meshping_status meshping_target_check(const meshping_target *target, meshping_error *err)
{
    char host[MESHPING_HOST_MAX], labels[MESHPING_LABELS_MAX];
    meshping_address address;
    meshping_status status = meshping__target_check(host, &address, target, err);
    if (status != MESHPING_OK || !*target->labels)
        return status;
    return meshping_labels_parse(labels, target->labels, err);
}

void meshping_target_list_dispose(meshping_target_list *list)
{
    meshping__free(list->items);
    *list = (meshping_target_list){.limit = list->limit};
}

static size_t limit_of(const meshping_target_list *list)
{
    return list->limit ? list->limit : MESHPING_TARGETS_MAX;
}

static bool same_target(const meshping_target *a, const meshping_target *b)
{
    return a->family == b->family && strcmp(a->host, b->host) == 0;
}

static meshping_status reserve(meshping_target_list *list, meshping_error *err)
{
    if (list->count >= limit_of(list))
        return meshping_error_set(err, MESHPING_LIMIT, "the list is full: at most %zu targets are allowed",
                                  limit_of(list));
    if (list->count < list->capacity)
        return MESHPING_OK;
    size_t capacity = list->capacity ? list->capacity * 2 : 16;
    if (capacity > limit_of(list))
        capacity = limit_of(list);
    if (capacity > SIZE_MAX / sizeof *list->items)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu targets", capacity);
    meshping_target *items = meshping__realloc(list->items, capacity * sizeof *items);
    if (!items)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu targets", capacity);
    list->items = items;
    list->capacity = capacity;
    return MESHPING_OK;
}

static meshping_status append(meshping_target_list *list, const meshping_target *target, bool unique,
                              meshping_error *err)
{
    meshping_target copy = *target; /* also: `target` may lie in the list itself, which moves */
    meshping_address address;
    meshping_status status = meshping__target_check(copy.host, &address, target, err);
    if (status == MESHPING_OK)
        status = meshping_labels_parse(copy.labels, target->labels, err);
    if (status != MESHPING_OK)
        return status;
    for (size_t i = 0; unique && i < list->count; i++) {
        if (same_target(&list->items[i], &copy))
            return meshping_error_set(err, MESHPING_EXISTS, "%s is in the list already, as number %zu", copy.host,
                                      i + 1);
        if (copy.id && list->items[i].id == copy.id)
            return meshping_error_set(err, MESHPING_EXISTS, "id %llu is in the list already, as number %zu",
                                      (unsigned long long)copy.id, i + 1);
    }
    status = reserve(list, err);
    if (status == MESHPING_OK)
        list->items[list->count++] = copy;
    return status;
}

meshping_status meshping_target_list_add(meshping_target_list *list, const meshping_target *target, meshping_error *err)
{
    return append(list, target, true, err);
}

meshping_status meshping_target_list_append(meshping_target_list *list, const meshping_target *target,
                                            meshping_error *err)
{
    return append(list, target, false, err);
}

static int compare_hosts(const void *left, const void *right)
{
    const meshping_target *a = *(const meshping_target *const *)left, *b = *(const meshping_target *const *)right;
    int order = strcmp(a->host, b->host);
    if (order == 0)
        order = (a->family > b->family) - (a->family < b->family);
    return order ? order : (a > b) - (a < b); /* same array: the earlier place first */
}

static int compare_ids(const void *left, const void *right)
{
    const meshping_target *a = *(const meshping_target *const *)left, *b = *(const meshping_target *const *)right;
    int order = (a->id > b->id) - (a->id < b->id);
    return order ? order : (a > b) - (a < b);
}

static meshping_status check_hosts(const meshping_target_list *list, const meshping_target **order, meshping_error *err)
{
    qsort(order, list->count, sizeof(*order), compare_hosts);
    for (size_t i = 1; i < list->count; i++)
        if (same_target(order[i - 1], order[i]))
            return meshping_error_set(err, MESHPING_EXISTS, "targets %zu and %zu are the same: %s",
                                      (size_t)(order[i - 1] - list->items) + 1, (size_t)(order[i] - list->items) + 1,
                                      order[i]->host);
    return MESHPING_OK;
}

static meshping_status check_ids(const meshping_target_list *list, const meshping_target **order, meshping_error *err)
{
    qsort(order, list->count, sizeof(*order), compare_ids);
    for (size_t i = 1; i < list->count; i++)
        if (order[i]->id && order[i - 1]->id == order[i]->id)
            return meshping_error_set(err, MESHPING_EXISTS, "targets %zu and %zu have the same id %llu",
                                      (size_t)(order[i - 1] - list->items) + 1, (size_t)(order[i] - list->items) + 1,
                                      (unsigned long long)order[i]->id);
    return MESHPING_OK;
}

/* NULL: out of memory. */
static const meshping_target **order_of(const meshping_target_list *list)
{
    const meshping_target **order = meshping__calloc(list->count ? list->count : 1, sizeof *order);
    for (size_t i = 0; order && i < list->count; i++)
        order[i] = &list->items[i];
    return order;
}

static meshping_status check_list(const meshping_target_list *list, bool hosts, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    if (list->count > limit_of(list))
        return meshping_error_set(err, MESHPING_LIMIT, "%zu targets, at most %zu are allowed", list->count,
                                  limit_of(list));
    for (size_t i = 0; i < list->count; i++) {
        meshping_error inner = {0};
        status = meshping_target_check(&list->items[i], &inner);
        if (status != MESHPING_OK)
            return meshping_error_set(err, status, "target %zu: %.200s", i + 1, inner.message);
    }
    const meshping_target **order = order_of(list);
    if (!order)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu targets", list->count);
    if (hosts)
        status = check_hosts(list, order, err);
    if (status == MESHPING_OK)
        status = check_ids(list, order, err);
    meshping__free(order);
    return status;
}

meshping_status meshping_target_list_check(const meshping_target_list *list, meshping_error *err)
{
    return check_list(list, true, err);
}

meshping_status meshping_target_list_check_ids(const meshping_target_list *list, meshping_error *err)
{
    return check_list(list, false, err);
}

/* ---- deltas ---- */

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static const meshping_target **find_id(const meshping_target **order, size_t count, uint64_t id)
{
    meshping_target wanted = {.id = id};
    const meshping_target *key = &wanted;
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order[middle]->id < key->id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && order[low]->id == id ? &order[low] : NULL;
}

/* What stays of `list`, with what is changed of it in its place, then what is new. */
static meshping_status patch(meshping_target_list *out, const meshping_target_list *list,
                             const meshping_target_list *changed, const meshping_target **order,
                             const uint64_t *removed, size_t removed_count, meshping_error *err)
{
    size_t gone = 0, seen = 0;
    meshping_status status = MESHPING_OK;
    bool *used = meshping__calloc(changed->count ? changed->count : 1, sizeof *used);
    if (!used)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    for (size_t i = 0; i < list->count && status == MESHPING_OK; i++) {
        const meshping_target *item = &list->items[i];
        if (removed_count && bsearch(&item->id, removed, removed_count, sizeof *removed, compare_numbers)) {
            gone++;
            continue;
        }
        const meshping_target **now = find_id(order, changed->count, item->id);
        if (now)
            used[*now - changed->items] = true;
        seen += now != NULL;
        status = append(out, now ? *now : item, false, err);
    }
    for (size_t i = 0; i < changed->count && status == MESHPING_OK && seen < changed->count; i++)
        if (!used[i])
            status = append(out, &changed->items[i], false, err);
    if (status == MESHPING_OK && gone != removed_count)
        status = meshping_error_set(err, MESHPING_INVALID, "%zu targets are to go that are not there, or go twice",
                                    removed_count - gone);
    meshping__free(used);
    return status;
}

meshping_status meshping_target_list_patch(meshping_target_list *list, const meshping_target_list *changed,
                                           const uint64_t *removed, size_t removed_count, meshping_error *err)
{
    meshping_target_list patched = {.limit = list->limit, .revision = changed->revision};
    const meshping_target **order = order_of(changed);
    uint64_t *sorted = meshping__memdup(removed_count ? removed : &patched.revision, removed_count * sizeof *sorted);
    if (!order || !sorted) {
        meshping__free(order);
        meshping__free(sorted);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    qsort(sorted, removed_count, sizeof *sorted, compare_numbers);
    meshping_status status = check_ids(changed, order, err);
    if (status == MESHPING_OK)
        status = patch(&patched, list, changed, order, sorted, removed_count, err);
    meshping__free(order);
    meshping__free(sorted);
    if (status != MESHPING_OK) {
        meshping_target_list_dispose(&patched);
        return status;
    }
    meshping_target_list_dispose(list);
    *list = patched;
    return MESHPING_OK;
}

const meshping_target *meshping_target_list_by_id(const meshping_target_list *list, uint64_t id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].id == id)
            return &list->items[i];
    return NULL;
}

const meshping_target *meshping_target_list_by_host(const meshping_target_list *list, const char *host)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].host, host) == 0)
            return &list->items[i];
    return NULL;
}

meshping_status meshping_target_list_copy(meshping_target_list *out, const meshping_target_list *from)
{
    meshping_target *items = NULL;
    if (from->count) {
        items = meshping__memdup(from->items, from->count * sizeof *items);
        if (!items)
            return MESHPING_NOMEM;
    }
    meshping__free(out->items);
    *out = (meshping_target_list){
        .items = items,
        .count = from->count,
        .capacity = from->count,
        .limit = from->limit,
        .revision = from->revision,
    };
    return MESHPING_OK;
}
