/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/sample.h>

const char *meshping_outcome_name(unsigned outcome)
{
    switch (outcome) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_OUTCOME_##name:                                                                                      \
        return text;
        MESHPING_OUTCOME_MAP(XX)
#undef XX
    }
    return "unknown";
}

meshping_outcome_class meshping_outcome_classify(unsigned outcome)
{
    if (outcome == MESHPING_OUTCOME_OK)
        return MESHPING_CLASS_OK;
    return outcome < MESHPING_OUTCOME_LOCAL_FIRST ? MESHPING_CLASS_FAIL : MESHPING_CLASS_LOCAL_ERROR;
}
