/* SPDX-License-Identifier: Apache-2.0 */
#include "core/labels.h"

#include <string.h>

typedef struct parser {
    const char *text, *at;
    meshping_selector *out;
    size_t used; /* of out->words; never more than what was read of the text, and one */
    meshping_error *err;
} parser;

static meshping_status expected(parser *p, const char *what)
{
    return meshping_error_set(p->err, MESHPING_INVALID, "selector, character %zu: %s is expected, not %s%.20s%s",
                              (size_t)(p->at - p->text) + 1, what, *p->at ? "\"" : "the end", p->at,
                              *p->at ? "\"" : "");
}

static meshping_status put_word(parser *p, bool is_key, uint16_t *place)
{
    size_t length = meshping__label_word(p->at);
    meshping_status status = meshping__label_part_check(p->at, length, is_key, p->err);
    if (status != MESHPING_OK)
        return status;
    if (place)
        *place = (uint16_t)p->used;
    memcpy(p->out->words + p->used, p->at, length);
    p->used += length + 1;
    p->at = meshping__label_blank(p->at + length);
    return MESHPING_OK;
}

static meshping_status put_value(parser *p, meshping_selector_term *term)
{
    term->value_count++;
    return put_word(p, false, term->value_count == 1 ? &term->values : NULL);
}

/* "(a,b)"; as in Kubernetes nothing between commas is the empty value, and "()" is an error. */
static meshping_status put_values(parser *p, meshping_selector_term *term)
{
    if (*p->at != '(')
        return expected(p, "'('");
    p->at = meshping__label_blank(p->at + 1);
    if (*p->at == ')')
        return expected(p, "a value");
    for (;;) {
        meshping_status status = put_value(p, term);
        if (status != MESHPING_OK)
            return status;
        if (*p->at == ')')
            break;
        if (*p->at != ',')
            return expected(p, "',' or ')'");
        p->at = meshping__label_blank(p->at + 1);
    }
    p->at = meshping__label_blank(p->at + 1);
    return MESHPING_OK;
}

/* Whether the word `word` stands here by itself; then p->at is behind it. */
static bool take_word(parser *p, const char *word)
{
    size_t length = strlen(word);
    if (meshping__label_word(p->at) != length || memcmp(p->at, word, length) != 0)
        return false;
    p->at = meshping__label_blank(p->at + length);
    return true;
}

static bool take_sign(parser *p, const char *sign)
{
    size_t length = strlen(sign);
    if (strncmp(p->at, sign, length) != 0)
        return false;
    p->at = meshping__label_blank(p->at + length);
    return true;
}

static meshping_status take_term(parser *p, meshping_selector_term *term)
{
    meshping_status status = MESHPING_OK;
    bool absent = *p->at == '!';
    if (absent)
        p->at = meshping__label_blank(p->at + 1);
    if (meshping__label_word(p->at) == 0)
        return expected(p, "a label's key");
    status = put_word(p, true, &term->key);
    if (status != MESHPING_OK)
        return status;
    term->op = absent ? MESHPING_SELECT_ABSENT : MESHPING_SELECT_EXISTS;
    if (absent || !*p->at || *p->at == ',')
        return MESHPING_OK;
    if (take_sign(p, "!=")) {
        term->op = MESHPING_SELECT_NOT_IN;
        return put_value(p, term);
    }
    if (take_sign(p, "==") || take_sign(p, "=")) {
        term->op = MESHPING_SELECT_IN;
        return put_value(p, term);
    }
    if (take_word(p, "in")) {
        term->op = MESHPING_SELECT_IN;
        return put_values(p, term);
    }
    if (take_word(p, "notin")) {
        term->op = MESHPING_SELECT_NOT_IN;
        return put_values(p, term);
    }
    return expected(p, "=, !=, in, notin or ','");
}

meshping_status meshping_selector_parse(meshping_selector *out, const char *text, meshping_error *err)
{
    meshping_selector selector = {0};
    parser p = {text, meshping__label_blank(text), &selector, 0, err};
    meshping_status status = MESHPING_OK;
    if (strlen(text) >= MESHPING_SELECTOR_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "a selector has at most %d characters",
                                  MESHPING_SELECTOR_MAX - 1);
    while (status == MESHPING_OK && (*p.at || selector.term_count)) {
        if (selector.term_count == MESHPING_SELECTOR_TERMS_MAX)
            return meshping_error_set(err, MESHPING_LIMIT, "a selector has at most %d terms",
                                      MESHPING_SELECTOR_TERMS_MAX);
        status = take_term(&p, &selector.terms[selector.term_count++]);
        if (status != MESHPING_OK || !*p.at)
            break;
        if (*p.at != ',')
            status = expected(&p, "',' or the end");
        else
            p.at = meshping__label_blank(p.at + 1);
    }
    if (status == MESHPING_OK)
        *out = selector;
    return status;
}

static bool is_among(const meshping_selector *selector, const meshping_selector_term *term, const char *value)
{
    const char *at = selector->words + term->values;
    for (unsigned i = 0; i < term->value_count; i++, at += strlen(at) + 1)
        if (strcmp(at, value) == 0)
            return true;
    return false;
}

static bool term_holds(const meshping_selector *selector, const meshping_selector_term *term, const char *labels)
{
    char value[MESHPING_LABEL_PART_MAX];
    bool there = meshping_labels_get(labels, selector->words + term->key, value);
    switch (term->op) {
    case MESHPING_SELECT_IN:
        return there && is_among(selector, term, value);
    case MESHPING_SELECT_NOT_IN:
        return !there || !is_among(selector, term, value);
    case MESHPING_SELECT_EXISTS:
        return there;
    case MESHPING_SELECT_ABSENT:
        return !there;
    }
    return false;
}

bool meshping_selector_matches(const meshping_selector *selector, const char *labels)
{
    for (size_t i = 0; i < selector->term_count; i++)
        if (!term_holds(selector, &selector->terms[i], labels))
            return false;
    return true;
}
