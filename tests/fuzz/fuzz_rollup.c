/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a row of roll-ups; what is accepted must be sound, and come out the same when written again. */
#include "checksum.h"

#include "base/bytes.h"
#include "core/rollup_hours.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sound(const meshping__hours *hours)
{
    for (size_t i = 0; i < hours->count; i++) {
        const meshping__hour *hour = &hours->items[i], *before = i ? hour - 1 : NULL;
        meshping_rollup sum = {0};
        uint64_t all = 0, in_buckets = 0;
        check(!before || before->target_id < hour->target_id ||
              (before->target_id == hour->target_id && before->hour < hour->hour));
        check(hour->target_id > 0 && hour->target_id <= MESHPING__TARGET_ID_MAX);
        meshping__hour_add_to(&sum, hours, i);
        for (size_t j = 0; j < MESHPING_OUTCOME_COUNT; j++)
            all += sum.counts[j];
        for (size_t j = 0; j < MESHPING_HISTOGRAM_BUCKETS; j++)
            in_buckets += sum.buckets[j];
        check(all > 0 && all <= MESHPING__HOUR_SAMPLES_MAX && in_buckets == sum.counts[MESHPING_OUTCOME_OK]);
        check(sum.min_us <= sum.max_us);
        check(in_buckets == 0 || (sum.buckets[meshping_histogram_bucket(sum.min_us)] &&
                                  sum.buckets[meshping_histogram_bucket(sum.max_us)]));
    }
}

static void read_row(const uint8_t *bytes, size_t length)
{
    meshping__hours hours = {0}, again = {0};
    if (meshping__hours_decode(&hours, NULL, bytes, length) == MESHPING_OK) {
        meshping__bytes out = {0};
        check_sound(&hours);
        meshping__hours_encode(&out, &hours);
        check(!out.failed && meshping__hours_decode(&again, NULL, out.data, out.length) == MESHPING_OK);
        check(again.count == hours.count && again.tally_count == hours.tally_count);
        for (size_t i = 0; i < hours.count; i++)
            check(memcmp(&hours.items[i], &again.items[i], offsetof(meshping__hour, count)) == 0);
        for (size_t i = 0; i < hours.tally_count; i++)
            check(hours.tallies[i].key == again.tallies[i].key && hours.tallies[i].count == again.tallies[i].count);
        meshping__bytes_dispose(&out);
    }
    meshping__hours_dispose(&hours);
    meshping__hours_dispose(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_both_ways(data, size, read_row);
}
