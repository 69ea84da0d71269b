/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels (key=value) on agents and targets, and selectors over them, in the syntax and with the meaning that Kubernetes
 * gave to both. Pure; any bytes are safe.
 */
#ifndef MESHPING_SELECTOR_H
#define MESHPING_SELECTOR_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_LABELS_MAX 256     /* canonical text and its NUL */
#define MESHPING_LABEL_COUNT_MAX 16 /* of one agent or target */
#define MESHPING_LABEL_PART_MAX 64  /* a key or a value and its NUL */
#define MESHPING_SELECTOR_MAX 512   /* text and its NUL */
#define MESHPING_SELECTOR_TERMS_MAX 16

typedef struct meshping_label {
    char key[MESHPING_LABEL_PART_MAX];
    char value[MESHPING_LABEL_PART_MAX];
} meshping_label;

/*
 * "key=value, key=value" in any order, white space around each allowed, in canonical form to out[MESHPING_LABELS_MAX]:
 * sorted by key (bytes), separated by a comma alone; "" is none. A key is 1 to 63 letters, digits, '-', '_' and '.'
 * that begins and ends with a letter or digit, one '/' may divide it in two such parts; a value is the same without
 * '/', or empty. INVALID names what is wrong: not of this form, a key twice. LIMIT: too many, or too long together.
 */
MESHPING_API meshping_status meshping_labels_parse(char *out, const char *text, meshping_error *err);
/* Steps through canonical labels: *at is the text at first. false: there was no further one. */
MESHPING_API bool meshping_labels_next(const char **at, meshping_label *out);
/* The value of `key` in canonical labels into value[MESHPING_LABEL_PART_MAX]; false: it is not there. */
MESHPING_API bool meshping_labels_get(const char *labels, const char *key, char *value);

typedef enum meshping_selector_op {
    MESHPING_SELECT_IN = 0, /* also = and == */
    MESHPING_SELECT_NOT_IN, /* also !=; true where there is no such key */
    MESHPING_SELECT_EXISTS,
    MESHPING_SELECT_ABSENT,
} meshping_selector_op;

typedef struct meshping_selector_term {
    meshping_selector_op op;
    uint16_t key, values, value_count; /* places in `words`; the values stand one after the other */
} meshping_selector_term;

/* Plain data, may be copied. All zero: selects everything. */
typedef struct meshping_selector {
    char words[MESHPING_SELECTOR_MAX]; /* each ended by a NUL */
    meshping_selector_term terms[MESHPING_SELECTOR_TERMS_MAX];
    size_t term_count;
} meshping_selector;

/*
 * Terms separated by commas, all of which must hold: key=value (or ==), key!=value, key in (a,b), key notin (a,b), key,
 * !key. Empty: everything. INVALID says what was expected and where, in bytes from 1; LIMIT: too long, too many terms.
 */
MESHPING_API meshping_status meshping_selector_parse(meshping_selector *out, const char *text, meshping_error *err);
/* `labels`: canonical. */
MESHPING_API bool meshping_selector_matches(const meshping_selector *selector, const char *labels);

#ifdef __cplusplus
}
#endif
#endif
