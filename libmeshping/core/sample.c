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

void meshping_samples_mark_late(meshping_sample *samples, size_t count, int64_t received_unix_us)
{
    for (size_t i = 0; i < count; i++) {
        int64_t delay_us;
        bool late = !__builtin_sub_overflow(received_unix_us, samples[i].slot_unix_us, &delay_us) &&
                    delay_us > MESHPING_LATE_DATA_US;
        samples[i].flags =
            (uint16_t)((samples[i].flags & ~MESHPING_FLAG_LATE_DATA) | (late ? MESHPING_FLAG_LATE_DATA : 0));
    }
}
