/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes as people and programs are told them. */
#ifndef MESHPING_COMMON_OUTCOME_H
#define MESHPING_COMMON_OUTCOME_H

#define OUTCOME_TEXT_MAX 24

/* "timeout"; "outcome_9" for one that only a later version has a name for. In to, or static. */
const char *outcome_text(char to[OUTCOME_TEXT_MAX], unsigned outcome);

#endif
