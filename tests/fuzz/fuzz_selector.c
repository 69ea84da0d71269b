/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A selector and labels, divided by a line end. Canonical labels are a fixed point; what a term says and its opposite
 * are never both true; whatever a selector is made of, a rule with it can be applied.
 */
#include <meshping/assignment.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_labels(const char *canonical)
{
    char again[MESHPING_LABELS_MAX], value[MESHPING_LABEL_PART_MAX];
    meshping_label label;
    meshping_selector selector;
    check(meshping_labels_parse(again, canonical, NULL) == MESHPING_OK);
    check(strcmp(again, canonical) == 0);
    for (const char *at = canonical; meshping_labels_next(&at, &label);) {
        check(meshping_labels_get(canonical, label.key, value) && strcmp(value, label.value) == 0);
        check(meshping_selector_parse(&selector, label.key, NULL) == MESHPING_OK);
        check(meshping_selector_matches(&selector, canonical));
    }
    check(strlen(canonical) >= MESHPING_SELECTOR_MAX ||
          meshping_selector_parse(&selector, canonical, NULL) == MESHPING_OK);
    check(meshping_selector_matches(&selector, canonical)); /* labels are a selector of themselves */
}

static void check_selector(const meshping_selector *selector, const char *text, const char *canonical)
{
    meshping_rule rule = {.kind = MESHPING_RULE_TARGETS};
    meshping_assignment *assignment;
    meshping_assignable columns[] = {{0, canonical}, {7, canonical}};
    uint64_t row = UINT64_MAX;
    bool matches = meshping_selector_matches(selector, canonical);
    strcpy(rule.agents, text);
    strcpy(rule.targets, text);
    check(meshping_assignment_make(&assignment, &rule, 1, columns, 2, NULL) == MESHPING_OK);
    meshping_assignment_row(assignment, 7, canonical, &row);
    check(row == (matches ? 1u : 0u));
    meshping_assignment_free(assignment);
    rule.kind = MESHPING_RULE_MESH;
    rule.targets[0] = 0;
    check(meshping_rules_mesh(&rule, 1, canonical) == matches);
    for (size_t i = 0; i < selector->term_count; i++) {
        meshping_selector one = *selector, opposite;
        one.terms[0] = selector->terms[i];
        one.term_count = 1;
        opposite = one;
        opposite.terms[0].op ^= 1;
        check(meshping_selector_matches(&one, canonical) != meshping_selector_matches(&opposite, canonical));
        check(!matches || meshping_selector_matches(&one, canonical));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[4096], canonical[MESHPING_LABELS_MAX] = "";
    meshping_selector selector;
    meshping_error err = {0};
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    char *labels = strchr(text, '\n');
    if (labels)
        *labels++ = 0;
    if (labels && meshping_labels_parse(canonical, labels, &err) == MESHPING_OK)
        check_labels(canonical);
    else if (labels)
        check(err.message[0] != 0 && canonical[0] == 0);
    err.message[0] = 0;
    if (meshping_selector_parse(&selector, text, &err) == MESHPING_OK)
        check_selector(&selector, text, canonical);
    else
        check(err.message[0] != 0);
    return 0;
}
