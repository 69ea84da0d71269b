/* SPDX-License-Identifier: Apache-2.0 */
#include "core/labels.h"

#include <stdlib.h>
#include <string.h>

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t meshping__label_word(const char *text)
{
    size_t length = 0;
    while (is_alnum(text[length]) || (text[length] && strchr("-_./", text[length])))
        length++;
    return length;
}

const char *meshping__label_blank(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

static bool part_ok(const char *text, size_t length)
{
    return length > 0 && is_alnum(text[0]) && is_alnum(text[length - 1]) && !memchr(text, '/', length);
}

static bool key_ok(const char *text, size_t length)
{
    const char *slash = memchr(text, '/', length);
    if (!slash)
        return part_ok(text, length);
    size_t prefix = (size_t)(slash - text);
    return part_ok(text, prefix) && part_ok(slash + 1, length - prefix - 1);
}

meshping_status meshping__label_part_check(const char *text, size_t length, bool is_key, meshping_error *err)
{
    const char *what = is_key ? "key" : "value";
    if (length >= MESHPING_LABEL_PART_MAX)
        return meshping_error_set(err, MESHPING_LIMIT,
                                  "the label's %s \"%.*s...\" has %zu characters, at most %d are "
                                  "allowed",
                                  what, 20, text, length, MESHPING_LABEL_PART_MAX - 1);
    if (is_key ? key_ok(text, length) : length == 0 || part_ok(text, length))
        return MESHPING_OK;
    return meshping_error_set(err, MESHPING_INVALID,
                              "the label's %s \"%.*s\" must begin and end with a letter or digit%s", what, (int)length,
                              text, is_key ? ", both before and after its one '/' too" : " and has no '/'");
}

/* One "key=value" off *at, which then stands after it. */
static meshping_status take_label(meshping_label *out, const char **at, meshping_error *err)
{
    const char *key = *at;
    size_t key_length = meshping__label_word(key);
    const char *sign = meshping__label_blank(key + key_length);
    if (key_length == 0 || *sign != '=')
        return meshping_error_set(err, MESHPING_INVALID,
                                  "\"%.40s\" is no label: key=value, of letters, digits, '-', '_', '.'", key);
    const char *value = meshping__label_blank(sign + 1);
    size_t value_length = meshping__label_word(value);
    meshping_status status = meshping__label_part_check(key, key_length, true, err);
    if (status == MESHPING_OK)
        status = meshping__label_part_check(value, value_length, false, err);
    if (status != MESHPING_OK)
        return status;
    *out = (meshping_label){0};
    memcpy(out->key, key, key_length);
    memcpy(out->value, value, value_length);
    *at = meshping__label_blank(value + value_length);
    if (**at && **at != ',')
        return meshping_error_set(err, MESHPING_INVALID, "\"%.40s\" does not follow a label: ',' or the end does", *at);
    return MESHPING_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const meshping_label *)a)->key, ((const meshping_label *)b)->key);
}

static meshping_status write_labels(char *out, const meshping_label *labels, size_t count, meshping_error *err)
{
    char text[MESHPING_LABELS_MAX];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t key = strlen(labels[i].key), value = strlen(labels[i].value);
        if (i && strcmp(labels[i - 1].key, labels[i].key) == 0)
            return meshping_error_set(err, MESHPING_INVALID, "the label \"%s\" stands there twice", labels[i].key);
        if (used + (i > 0) + key + 1 + value >= sizeof text)
            return meshping_error_set(err, MESHPING_LIMIT, "the labels have over %zu characters together",
                                      sizeof text - 1);
        if (i)
            text[used++] = ',';
        memcpy(text + used, labels[i].key, key);
        text[used + key] = '=';
        memcpy(text + used + key + 1, labels[i].value, value);
        used += key + 1 + value;
    }
    memcpy(out, text, used);
    out[used] = 0;
    return MESHPING_OK;
}

meshping_status meshping_labels_parse(char *out, const char *text, meshping_error *err)
{
    meshping_label labels[MESHPING_LABEL_COUNT_MAX];
    size_t count = 0;
    const char *at = meshping__label_blank(text);
    while (*at) {
        if (count == MESHPING_LABEL_COUNT_MAX)
            return meshping_error_set(err, MESHPING_LIMIT, "more than %d labels", MESHPING_LABEL_COUNT_MAX);
        meshping_status status = take_label(&labels[count++], &at, err);
        if (status != MESHPING_OK)
            return status;
        if (*at == ',') /* one at the very end is forgiven */
            at = meshping__label_blank(at + 1);
    }
    qsort(labels, count, sizeof *labels, compare_keys);
    return write_labels(out, labels, count, err);
}

/* Cut to fit: canonical labels do. */
static void copy_part(char *out, const char *text, size_t length)
{
    if (length >= MESHPING_LABEL_PART_MAX)
        length = MESHPING_LABEL_PART_MAX - 1;
    memcpy(out, text, length);
    out[length] = 0;
}

bool meshping_labels_next(const char **at, meshping_label *out)
{
    const char *label = *at;
    if (!*label)
        return false;
    size_t length = strcspn(label, ","), key = strcspn(label, "=,");
    size_t value = key < length ? key + 1 : length;
    copy_part(out->key, label, key);
    copy_part(out->value, label + value, length - value);
    *at = label + length + (label[length] == ',');
    return true;
}

bool meshping_labels_get(const char *labels, const char *key, char *value)
{
    meshping_label label;
    while (meshping_labels_next(&labels, &label))
        if (strcmp(label.key, key) == 0) {
            memcpy(value, label.value, sizeof label.value);
            return true;
        }
    return false;
}
