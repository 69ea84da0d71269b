/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration as a table: key, type, bounds, default, help. One table gives the parser, `--help` and the sample file.
 * The file is INI as libinih reads it: `key = value` lines, no sections, `#` and `;` comments.
 */
#ifndef MESHPING_COMMON_CONFIG_H
#define MESHPING_COMMON_CONFIG_H

#include <meshping/common.h>
#include <stdio.h>

typedef enum config_type {
    CONFIG_TEXT,
    CONFIG_NUMBER,   /* int */
    CONFIG_DURATION, /* int64_t seconds: a whole number with s, m, h, d or y (365 days) */
    CONFIG_SIZE,     /* int64_t bytes: a whole number, alone or with K, M, G or T (powers of 1024) */
} config_type;

typedef struct config_key {
    const char *name;
    config_type type;
    size_t offset;        /* in the struct that is filled: char[size], int or int64_t */
    size_t size;          /* of a text's field */
    int64_t min, max;     /* of all others; a size may be 0 as well */
    const char *fallback; /* as it would stand in a file */
    const char *help;
} config_key;

#define CONFIG_KEY_TEXT(type, field, fallback, help)                                                                   \
    {                                                                                                                  \
#field, CONFIG_TEXT, offsetof(type, field), sizeof(((type *)0)->field), 0, 0, fallback, help                   \
    }
#define CONFIG_KEY_NUMBER(type, field, min, max, fallback, help)                                                       \
    {                                                                                                                  \
#field, CONFIG_NUMBER, offsetof(type, field), sizeof(int), min, max, fallback, help                            \
    }
#define CONFIG_KEY_DURATION(type, field, min, max, fallback, help)                                                     \
    {                                                                                                                  \
#field, CONFIG_DURATION, offsetof(type, field), sizeof(int64_t), min, max, fallback, help                      \
    }
#define CONFIG_KEY_SIZE(type, field, min, max, fallback, help)                                                         \
    {                                                                                                                  \
#field, CONFIG_SIZE, offsetof(type, field), sizeof(int64_t), min, max, fallback, help                          \
    }
#define CONFIG_KEY_END                                                                                                 \
    {                                                                                                                  \
        NULL, CONFIG_TEXT, 0, 0, 0, 0, NULL, NULL                                                                      \
    }

/* Sets every field to its default. */
void config_defaults(const config_key *keys, void *out);
/* INVALID: no such key (the nearest one is named), not a value of its type, out of bounds, too long. */
meshping_status config_set(const config_key *keys, void *out, const char *name, const char *value, meshping_error *err);
/*
 * Reads a file over what is there. INVALID names file and line; IO. On errors *out may be half changed. given (or
 * NULL): true at the index of each key that stands in the file.
 */
meshping_status config_load(const config_key *keys, void *out, bool *given, const char *path, meshping_error *err);
/* NULL: no such key. */
const config_key *config_find(const config_key *keys, const char *name);
#define CONFIG_VALUE_MAX 1024 /* of every text's field, with its NUL */
/* The key's value in `in`, as it would stand in a file, into text[CONFIG_VALUE_MAX]. */
const char *config_format(const config_key *key, const void *in, char *text);
/* One of its bounds likewise into text[32]; "" for a text. */
const char *config_format_bound(const config_key *key, int64_t bound, char *text);
/* The sample file: every key with its help and default. */
void config_print_sample(const config_key *keys, FILE *file);

#endif
