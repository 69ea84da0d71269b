/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const config_key *config_find(const config_key *keys, const char *name)
{
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

/* Levenshtein distance of two short words, to guess what a mistyped key was meant to be. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64], length = strlen(b);
    if (length >= 64)
        return 64;
    for (size_t k = 0; k <= length; k++)
        row[k] = k;
    for (size_t i = 0; a[i]; i++) {
        size_t before = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < length; k++) {
            size_t best = before + (a[i] != b[k]);
            before = row[k + 1];
            if (row[k] + 1 < best)
                best = row[k] + 1;
            if (before + 1 < best)
                best = before + 1;
            row[k + 1] = best;
        }
    }
    return row[length];
}

static const char *nearest(const config_key *keys, const char *name)
{
    const char *best = NULL;
    size_t best_distance = 4;
    for (; keys->name; keys++)
        if (distance(name, keys->name) < best_distance) {
            best_distance = distance(name, keys->name);
            best = keys->name;
        }
    return best;
}

/* ---- values ---- */

typedef struct unit {
    char name;
    int64_t factor;
} unit;

static const unit duration_units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'y', 31536000}, {0, 0}};
static const unit size_units[] = {
    {'K', INT64_C(1) << 10}, {'M', INT64_C(1) << 20}, {'G', INT64_C(1) << 30}, {'T', INT64_C(1) << 40}, {0, 0}};

/* The longest whole unit: "24h", "90d". */
static const char *with_unit(char text[32], const unit *units, int64_t value)
{
    const unit *best = NULL;
    for (const unit *at = units; at->name; at++)
        if (value && value % at->factor == 0)
            best = at;
    if (best)
        snprintf(text, 32, "%" PRId64 "%c", value / best->factor, best->name);
    else
        snprintf(text, 32, "%" PRId64, value);
    return text;
}

static bool parse_with_unit(const unit *units, const char *value, int64_t *out)
{
    char *end;
    errno = 0;
    int64_t number = strtoll(value, &end, 10);
    if (errno || end == value)
        return false;
    if (!*end) {
        *out = number;
        return units == size_units || number == 0;
    }
    for (; units->name; units++)
        if (*end == units->name && !end[1])
            return !__builtin_mul_overflow(number, units->factor, out);
    return false;
}

static meshping_status set_with_unit(const config_key *key, void *field, const char *value, meshping_error *err)
{
    const unit *units = key->type == CONFIG_SIZE ? size_units : duration_units;
    int64_t number;
    char least[32], most[32];
    if (!parse_with_unit(units, value, &number))
        return meshping_error_set(err, MESHPING_INVALID, "%s: \"%s\" is not a %s", key->name, value,
                                  key->type == CONFIG_SIZE ? "size like 500M or 20G" : "time like 90m, 24h, 7d or 2y");
    if ((number < key->min || number > key->max) && !(key->type == CONFIG_SIZE && number == 0))
        return meshping_error_set(err, MESHPING_INVALID, "%s: %s is not between %s and %s", key->name, value,
                                  with_unit(least, units, key->min), with_unit(most, units, key->max));
    memcpy(field, &number, sizeof number);
    return MESHPING_OK;
}

static meshping_status set_number(const config_key *key, void *field, const char *value, meshping_error *err)
{
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (errno || end == value || *end)
        return meshping_error_set(err, MESHPING_INVALID, "%s: \"%s\" is not a whole number", key->name, value);
    if (number < key->min || number > key->max)
        return meshping_error_set(err, MESHPING_INVALID, "%s: %ld is not between %" PRId64 " and %" PRId64, key->name,
                                  number, key->min, key->max);
    int narrow = (int)number;
    memcpy(field, &narrow, sizeof narrow);
    return MESHPING_OK;
}

meshping_status config_set(const config_key *keys, void *out, const char *name, const char *value, meshping_error *err)
{
    const config_key *key = config_find(keys, name);
    if (!key) {
        const char *guess = nearest(keys, name);
        if (guess)
            return meshping_error_set(err, MESHPING_INVALID, "unknown key \"%s\": did you mean \"%s\"?", name, guess);
        return meshping_error_set(err, MESHPING_INVALID, "unknown key \"%s\"", name);
    }
    char *field = (char *)out + key->offset;
    switch (key->type) {
    case CONFIG_TEXT:
        if (strlen(value) >= key->size)
            return meshping_error_set(err, MESHPING_INVALID, "%s is longer than %zu bytes", name, key->size - 1);
        memcpy(field, value, strlen(value) + 1);
        return MESHPING_OK;
    case CONFIG_NUMBER:
        return set_number(key, field, value, err);
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        break;
    }
    return set_with_unit(key, field, value, err);
}

void config_defaults(const config_key *keys, void *out)
{
    for (const config_key *key = keys; key->name; key++)
        config_set(keys, out, key->name, key->fallback, NULL);
}

struct loading {
    const config_key *keys;
    void *out;
    bool *given;
    FILE *file;
    meshping_error error;
    bool failed;
};

static int take(void *user, const char *section, const char *name, const char *value)
{
    struct loading *loading = user;
    if (loading->failed)
        return 1;
    if (*section)
        loading->failed = meshping_error_set(&loading->error, MESHPING_INVALID,
                                             "section [%s]: this file has no sections", section) != MESHPING_OK;
    else
        loading->failed = config_set(loading->keys, loading->out, name, value, &loading->error) != MESHPING_OK;
    if (!loading->failed && loading->given)
        loading->given[config_find(loading->keys, name) - loading->keys] = true;
    return !loading->failed;
}

#define LINE_MAX_BYTES 198 /* what libinih takes, less newline and NUL */

/*
 * fgets for libinih, without two of its ways: a line that begins with a blank would be joined to the value before it,
 * and of a longer line the rest would be read as another.
 */
static char *next_line(char *line, int size, void *stream)
{
    struct loading *loading = stream;
    char *text = NULL;
    size_t capacity = 0;
    ssize_t length = loading->failed ? -1 : getline(&text, &capacity, loading->file);
    if (length >= 0) {
        const char *start = text + strspn(text, " \t");
        if (strlen(start) > LINE_MAX_BYTES || strlen(start) + 1 > (size_t)size) {
            snprintf(line, (size_t)size, "too long");
            loading->failed = true;
            meshping_error_set(&loading->error, MESHPING_INVALID, "a line holds at most %d bytes", LINE_MAX_BYTES);
        } else {
            memcpy(line, start, strlen(start) + 1);
        }
    }
    free(text);
    return length < 0 ? NULL : line;
}

meshping_status config_load(const config_key *keys, void *out, bool *given, const char *path, meshping_error *err)
{
    struct loading loading = {.keys = keys, .out = out, .given = given, .file = fopen(path, "re")};
    errno = loading.file ? 0 : errno;
    int line = loading.file ? ini_parse_stream(next_line, &loading, take, &loading) : -1;
    int code = errno;
    bool unread = !loading.file || ferror(loading.file);
    if (loading.file)
        fclose(loading.file);
    if (unread)
        return meshping_error_set_errno(err, MESHPING_IO, code, "cannot read the configuration %s", path);
    if (line == -2)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    if (line > 0)
        return meshping_error_set(err, MESHPING_INVALID, "%s line %d: %s", path, line,
                                  loading.failed ? loading.error.message : "not a line of the form key = value");
    return MESHPING_OK;
}

const char *config_format_bound(const config_key *key, int64_t bound, char *text)
{
    switch (key->type) {
    case CONFIG_TEXT:
        text[0] = 0;
        break;
    case CONFIG_NUMBER:
        snprintf(text, 32, "%" PRId64, bound);
        break;
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return with_unit(text, key->type == CONFIG_SIZE ? size_units : duration_units, bound);
    }
    return text;
}

const char *config_format(const config_key *key, const void *in, char *text)
{
    const char *field = (const char *)in + key->offset;
    int number;
    int64_t wide;
    switch (key->type) {
    case CONFIG_TEXT:
        snprintf(text, CONFIG_VALUE_MAX, "%s", field);
        return text;
    case CONFIG_NUMBER:
        memcpy(&number, field, sizeof number);
        return config_format_bound(key, number, text);
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        break;
    }
    memcpy(&wide, field, sizeof wide);
    return config_format_bound(key, wide, text);
}

void config_print_sample(const config_key *keys, FILE *file)
{
    for (; keys->name; keys++) {
        char least[32], most[32];
        fprintf(file, "# %s", keys->help);
        if (keys->type != CONFIG_TEXT)
            fprintf(file, " (%s to %s)", config_format_bound(keys, keys->min, least),
                    config_format_bound(keys, keys->max, most));
        fprintf(file, "\n#%s = %s\n\n", keys->name, keys->fallback);
    }
}
