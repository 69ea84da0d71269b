/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as people see them: what shows nothing or turns the direction of what follows, and which two look the same. A
 * table of the letters that people's names are made of, no UTS 39: docs/adr/0011-people-and-roles.md. Pure.
 */
#ifndef MESHPINGD_LOOKS_H
#define MESHPINGD_LOOKS_H

#include <meshping/common.h>

/* False: it is not UTF-8, or holds a character that is not seen (a space other than ' ', a combining mark, ...). */
bool looks_whole(const char *text);
/* True when it holds one of Unicode's embeddings, overrides and isolates, which turn around what is shown behind it. */
bool looks_turned(const char *text);
/* What is not seen, and bytes that are not UTF-8, become '?'. In place. */
void looks_clean(char *text);
/*
 * 0 when one may be taken for the other: written large or small, in letters of another alphabet, 0 for O, 1 for l, rn
 * for m.
 * Otherwise an order of them.
 */
int looks_compare(const char *a, const char *b);

#endif
