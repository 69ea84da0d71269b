/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/looks.h"

#include <meshping/utf8.h>
#include <string.h>

#define NO_CHARACTER UINT32_MAX

/* The character at *at, which goes on behind it; NO_CHARACTER: it is not UTF-8, and one byte is skipped. */
static uint32_t next_character(const char **at)
{
    uint32_t character;
    size_t length = meshping_utf8_read(&character, *at);
    *at += length ? length : 1;
    return length ? character : NO_CHARACTER;
}

/* ---- what is not seen ---- */

/* Controls, marks upon other letters, spaces, joiners, directions, fillers, variations, private use. */
static const struct {
    uint32_t first, last;
} unseen[] = {
    {0x00, 0x1f},
    {0x7f, 0xa0},
    {0xad, 0xad},
    {0x300, 0x36f},
    {0x483, 0x489},
    {0x61c, 0x61c},
    {0x115f, 0x1160},
    {0x1680, 0x1680},
    {0x17b4, 0x17b5},
    {0x180b, 0x180f},
    {0x1ab0, 0x1aff},
    {0x1dc0, 0x1dff},
    {0x2000, 0x200f},
    {0x2028, 0x202f},
    {0x205f, 0x206f},
    {0x20d0, 0x20ff},
    {0x2800, 0x2800},
    {0x3000, 0x3000},
    {0x3164, 0x3164},
    {0xe000, 0xf8ff},
    {0xfdd0, 0xfdef},
    {0xfe00, 0xfe0f},
    {0xfe20, 0xfe2f},
    {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},
    {0xfff0, 0xffff},
    {0x1d173, 0x1d17a},
    {0xe0000, 0x10ffff},
    {NO_CHARACTER, NO_CHARACTER},
};

static bool is_unseen(uint32_t c)
{
    for (size_t i = 0; i < sizeof unseen / sizeof unseen[0]; i++)
        if (c >= unseen[i].first && c <= unseen[i].last)
            return true;
    return false;
}

bool looks_whole(const char *text)
{
    while (*text)
        if (is_unseen(next_character(&text)))
            return false;
    return true;
}

bool looks_turned(const char *text)
{
    while (*text) {
        uint32_t c = next_character(&text);
        if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
            return true;
    }
    return false;
}

void looks_clean(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        const char *from = at;
        if (is_unseen(next_character(&at))) {
            *to++ = '?';
            continue;
        }
        memmove(to, from, (size_t)(at - from));
        to += at - from;
    }
    *to = 0;
}

/* ---- what looks the same ---- */

/* Pairs of a letter and what it is taken for. Large ones first where the small one looks like something else. */
static const uint16_t taken_for[][2] = {
    {'0', 'o'},    {'1', 'l'},     {'I', 'l'},     {'i', 'l'},    {'|', 'l'},     {0x130, 'l'},  {0x131, 'l'},
    {0x251, 'a'},  {0x261, 'g'},   {0x39d, 'n'},   {0x3a5, 'y'}, /* Greek */
    {0x3b1, 'a'},  {0x3b2, 'b'},   {0x3b5, 'e'},   {0x3b6, 'z'},  {0x3b7, 'h'},   {0x3b9, 'l'},  {0x3ba, 'k'},
    {0x3bc, 'm'},  {0x3bd, 'v'},   {0x3bf, 'o'},   {0x3c1, 'p'},  {0x3c2, 0x3c3}, {0x3c4, 't'},  {0x3c5, 'u'},
    {0x3c7, 'x'},  {0x3c9, 'w'},   {0x430, 'a'}, /* Cyrillic */
    {0x432, 'b'},  {0x435, 'e'},   {0x43a, 'k'},   {0x43c, 'm'},  {0x43d, 'h'},   {0x43e, 'o'},  {0x440, 'p'},
    {0x441, 'c'},  {0x442, 't'},   {0x443, 'y'},   {0x445, 'x'},  {0x451, 0xeb},  {0x455, 's'},  {0x456, 'l'},
    {0x457, 0xef}, {0x458, 'j'},   {0x4ba, 'h'},   {0x4bb, 'h'},  {0x4c0, 'l'},   {0x4cf, 'l'},  {0x501, 'd'},
    {0x51b, 'q'},  {0x51d, 'w'},   {0x570, 'h'}, /* Armenian */
    {0x578, 'n'},  {0x57d, 'u'},   {0x585, 'o'},   {0x2010, '-'}, {0x2011, '-'},  {0x2012, '-'}, {0x2013, '-'},
    {0x2014, '-'}, {0x2018, '\''}, {0x2019, '\''}, {0x2024, '.'}, {0x2032, '\''}, {0x2160, 'l'}, {0x2164, 'v'},
    {0x2169, 'x'}, {0x216c, 'l'},  {0x216d, 'c'},  {0x216e, 'd'}, {0x216f, 'm'},  {0x2170, 'l'}, {0x2174, 'v'},
    {0x2179, 'x'}, {0x217c, 'l'},  {0x217d, 'c'},  {0x217e, 'd'}, {0x217f, 'm'},  {0x2212, '-'}, {0x2bc, '\''},
};

static uint32_t replaced(uint32_t c)
{
    for (size_t i = 0; i < sizeof taken_for / sizeof taken_for[0]; i++)
        if (c == taken_for[i][0])
            return taken_for[i][1];
    return c;
}

/* Wide and mathematical forms of ASCII's letters and digits. */
static uint32_t plain(uint32_t c)
{
    if (c >= 0xff01 && c <= 0xff5e)
        return c - 0xff01 + '!';
    if (c >= 0x1d400 && c <= 0x1d6a3)
        return (c - 0x1d400) % 52 < 26 ? 'A' + (c - 0x1d400) % 52 : 'a' + (c - 0x1d400) % 52 - 26;
    if (c >= 0x1d7ce && c <= 0x1d7ff)
        return '0' + (c - 0x1d7ce) % 10;
    return c;
}

static uint32_t small(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x391 && c <= 0x3a9) ||
        (c >= 0x410 && c <= 0x42f))
        return c + 0x20;
    if (c >= 0x400 && c <= 0x40f)
        return c + 0x50;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e))
        return c & 1 ? c + 1 : c;
    if ((c >= 0x100 && c <= 0x177) || (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) ||
        (c >= 0x4d0 && c <= 0x52f))
        return c | 1;
    return c == 0x178 ? 0xff : c;
}

static uint32_t look_of(uint32_t c)
{
    c = replaced(plain(c));
    return replaced(small(c));
}

/* What is seen next, in small letters of the Latin alphabet where they look so: rn is taken for m, and vv for w. */
static uint32_t next_look(const char **at)
{
    uint32_t look = look_of(next_character(at));
    const char *behind = *at;
    if ((look != 'r' && look != 'v') || !*behind || look_of(next_character(&behind)) != (look == 'r' ? 'n' : 'v'))
        return look;
    *at = behind;
    return look == 'r' ? 'm' : 'w';
}

int looks_compare(const char *a, const char *b)
{
    while (*a && *b) {
        uint32_t one = next_look(&a), other = next_look(&b);
        if (one != other)
            return one < other ? -1 : 1;
    }
    return *a ? 1 : *b ? -1 : 0;
}
