/* SPDX-License-Identifier: Apache-2.0 */
#include "core/readable.h"

#include "base/alloc.h"
#include "core/json.h"
#include <meshping/block.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US INT64_C(1000000)

void meshping__time_format(char *text, int64_t unix_us)
{
    time_t seconds = (time_t)(unix_us / US);
    int64_t rest = unix_us % US;
    struct tm tm;
    if (rest < 0) {
        rest += US;
        seconds--;
    }
    gmtime_r(&seconds, &tm);
    size_t used = strftime(text, 24, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + used, 32 - used, ".%06dZ", (int)rest);
}

meshping_status meshping__time_parse(int64_t *unix_us, const char *text)
{
    int year, month, day, hour, minute, second, used = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &used) != 6 ||
        used != 19)
        return MESHPING_INVALID;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 59)
        return MESHPING_INVALID;
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    int64_t fraction = 0, scale = US;
    text += used;
    if (*text == '.') {
        for (text++; *text >= '0' && *text <= '9' && scale > 1; text++) {
            scale /= 10;
            fraction += (*text - '0') * scale;
        }
        if (scale == US)
            return MESHPING_INVALID;
    }
    if (strcmp(text, "Z") != 0)
        return MESHPING_INVALID;
    time_t seconds = timegm(&tm); /* arithmetic only; a 31 February would have moved on */
    if (tm.tm_mday != day)
        return MESHPING_INVALID;
    *unix_us = (int64_t)seconds * US + fraction;
    return MESHPING_OK;
}

static json_object *sample_encode(uint64_t target_id, const meshping_sample *sample)
{
    char text[32];
    json_object *object = json_object_new_object();
    meshping__time_format(text, sample->slot_unix_us);
    json_object_object_add(object, "target", json_object_new_int64((int64_t)target_id));
    json_object_object_add(object, "timestamp", json_object_new_string(text));
    if (sample->outcome == MESHPING_OUTCOME_OK) {
        snprintf(text, sizeof text, "%u.%03u", sample->rtt_us / 1000, sample->rtt_us % 1000);
        json_object_object_add(object, "result", json_object_new_string("ok"));
        json_object_object_add(object, "latency", json_object_new_double_s(sample->rtt_us / 1000.0, text));
    } else {
        json_object_object_add(object, "result", json_object_new_string("fail"));
        json_object_object_add(object, "latency", json_object_new_int(0));
        json_object_object_add(object, "reason", json_object_new_string(meshping_outcome_name(sample->outcome)));
    }
    if (sample->flags)
        json_object_object_add(object, "flags", json_object_new_int(sample->flags));
    return object;
}

json_object *meshping__readable_encode(const uint8_t *block, size_t length)
{
    meshping_block_reader *reader = NULL;
    meshping_sample *samples = NULL;
    json_object *array = json_object_new_array();
    if (!array || meshping_block_reader_new(&reader, block, length, NULL) != MESHPING_OK)
        return array;
    for (size_t i = 0; i < meshping_block_reader_target_count(reader); i++) {
        meshping_block_entry entry;
        size_t count = 0;
        if (meshping_block_reader_entry(reader, i, &entry) != MESHPING_OK)
            break;
        meshping_sample *grown = meshping__realloc(samples, entry.sample_count * sizeof *samples);
        if (!grown)
            break;
        samples = grown;
        if (meshping_block_reader_samples(reader, i, samples, entry.sample_count, &count, NULL) != MESHPING_OK)
            break;
        for (size_t k = 0; k < count; k++)
            json_object_array_add(array, sample_encode(entry.target_id, &samples[k]));
    }
    meshping__free(samples);
    meshping_block_reader_free(reader);
    return array;
}

static unsigned reason_parse(const char *name)
{
    for (unsigned i = 1; i < MESHPING_OUTCOME_COUNT; i++)
        if (strcmp(meshping_outcome_name(i), name) == 0)
            return i;
    return MESHPING_OUTCOME_COUNT;
}

/* A number of milliseconds, whole microseconds after rounding. */
static uint32_t latency_decode(meshping__fields *fields)
{
    json_object *value = NULL;
    double ms = -1;
    if (json_object_object_get_ex(fields->object, "latency", &value) &&
        (json_object_is_type(value, json_type_double) || json_object_is_type(value, json_type_int)))
        ms = json_object_get_double(value);
    if (!(ms >= 0 && ms <= MESHPING_RTT_US_MAX / 1000.0)) {
        meshping__field_fail(fields, "latency", "is not a number of milliseconds");
        return 0;
    }
    return (uint32_t)(ms * 1000 + 0.5);
}

static uint64_t sample_decode(meshping__fields *fields, meshping_sample *sample)
{
    char text[32];
    memset(sample, 0, sizeof *sample);
    uint64_t target_id = meshping__field_u64(fields, "target", 1, (UINT64_C(1) << 53) - 1);
    meshping__field_text(fields, "timestamp", text, sizeof text, true);
    if (fields->status == MESHPING_OK && meshping__time_parse(&sample->slot_unix_us, text) != MESHPING_OK)
        meshping__field_fail(fields, "timestamp", "is not RFC 3339 in UTC");
    meshping__field_text(fields, "result", text, sizeof text, true);
    bool ok = strcmp(text, "ok") == 0;
    if (!ok && strcmp(text, "fail") != 0)
        meshping__field_fail(fields, "result", "is neither ok nor fail");
    uint32_t rtt_us = fields->status == MESHPING_OK ? latency_decode(fields) : 0;
    sample->rtt_us = ok ? rtt_us : 0;
    sample->flags = (uint16_t)meshping__field_u64_or(fields, "flags", UINT16_MAX, 0);
    if (!ok) {
        meshping__field_text(fields, "reason", text, sizeof text, false);
        unsigned outcome = text[0] ? reason_parse(text) : MESHPING_OUTCOME_TIMEOUT;
        if (outcome == MESHPING_OUTCOME_COUNT)
            meshping__field_fail(fields, "reason", "is none that this version knows");
        sample->outcome = (uint8_t)outcome;
    }
    return target_id;
}

meshping_status meshping__readable_decode(uint8_t **block, size_t *length, json_object *samples, meshping_error *err)
{
    meshping_block_builder *builder = NULL;
    meshping_error inner = {0};
    size_t count = json_object_array_length(samples);
    *block = NULL;
    *length = 0;
    if (count == 0)
        return meshping_error_set(err, MESHPING_PROTOCOL, "field \"samples\": is empty");
    meshping_status status = meshping_block_builder_new(&builder);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        meshping_sample sample;
        meshping__fields fields = {json_object_array_get_idx(samples, i), &inner, MESHPING_OK};
        if (!json_object_is_type(fields.object, json_type_object))
            meshping__field_fail(&fields, "samples", "is not a list of objects");
        uint64_t target_id = sample_decode(&fields, &sample);
        status = fields.status;
        if (status == MESHPING_OK)
            status = meshping_block_builder_add(builder, target_id, &sample);
        if (status != MESHPING_OK && status != MESHPING_NOMEM)
            status = meshping_error_set(err, MESHPING_PROTOCOL, "sample %zu: %s", i + 1,
                                        inner.message[0] ? inner.message : meshping_status_text(status));
    }
    if (status == MESHPING_OK)
        status = meshping_block_builder_finish(builder, block, length);
    meshping_block_builder_free(builder);
    return status;
}
