/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of CSV that no spreadsheet takes for a formula; the page has the same rule, ui/src/targets_file.ts. */
#ifndef MESHPINGD_CSV_H
#define MESHPINGD_CSV_H

#include <stdio.h>

/*
 * One cell as RFC 4180 has it, quoted where it must be. An apostrophe goes before what a spreadsheet would run (OWASP,
 * CSV injection): a cell, or a part of one after ";", where spreadsheets of many languages begin the next one, that
 * begins with = + - @ or a tab or line end, maybe after blanks and apostrophes.
 */
void csv_put(FILE *out, const char *text);

#endif
