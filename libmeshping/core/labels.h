/* SPDX-License-Identifier: Apache-2.0 */
/* The words that labels and selectors are made of. */
#ifndef MESHPING_CORE_LABELS_H
#define MESHPING_CORE_LABELS_H

#include <meshping/selector.h>

/* How many characters of a key or a value `text` begins with. */
size_t meshping__label_word(const char *text);
/* Behind white space. */
const char *meshping__label_blank(const char *text);
/* INVALID, LIMIT: see meshping_labels_parse. */
meshping_status meshping__label_part_check(const char *text, size_t length, bool is_key, meshping_error *err);

#endif
