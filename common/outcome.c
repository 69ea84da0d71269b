/* SPDX-License-Identifier: Apache-2.0 */
#include "common/outcome.h"

#include <meshping/sample.h>
#include <stdio.h>
#include <string.h>

const char *outcome_text(char to[OUTCOME_TEXT_MAX], unsigned outcome)
{
    const char *name = meshping_outcome_name(outcome);
    if (strcmp(name, "unknown") != 0)
        return name;
    snprintf(to, OUTCOME_TEXT_MAX, "outcome_%u", outcome);
    return to;
}
