/* SPDX-License-Identifier: Apache-2.0 */
#include "core/readable.h"

#include "base/alloc.h"
#include "core/json.h"
#include <meshping/block.h>
#include <stdio.h>
#include <string.h>

#define US INT64_C(1000000)
#define DAY_S INT64_C(86400)
#define ERA_DAYS 146097 /* 400 years of the Gregorian calendar */

/*
 * The calendar is our own: gmtime_r and timegm read the time zone's file. A year is counted from 1 March, so that
 * the leap day is its last; (153 * month + 2) / 5 are the days before a month, counted from March.
 */
static int64_t days_of_date(int64_t year, int64_t month, int64_t day)
{
    if (month <= 2)
        year--;
    int64_t era = (year >= 0 ? year : year - 399) / 400, year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era - 719468; /* from 0000-03-01 to 1970-01-01 */
}

static void date_of_days(int64_t *year, int64_t *month, int64_t *day, int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS, day_of_era = days - era * ERA_DAYS;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march + (from_march < 10 ? 3 : -9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

void meshping__time_format(char *text, int64_t unix_us)
{
    int64_t seconds = unix_us / US, fraction = unix_us % US, year, month, day;
    if (fraction < 0) {
        fraction += US;
        seconds--;
    }
    int64_t days = seconds / DAY_S, second = seconds % DAY_S;
    if (second < 0) {
        second += DAY_S;
        days--;
    }
    date_of_days(&year, &month, &day, days);
    snprintf(text, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int)year, (int)month, (int)day, (int)(second / 3600),
             (int)(second / 60 % 60), (int)(second % 60), (int)fraction);
}

/* Exactly `count` digits; -1 when they are not. */
static int64_t digits(const char *text, size_t count)
{
    int64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

meshping_status meshping__time_parse(int64_t *unix_us, const char *text)
{
    static const char form[] = "....-..-..T..:..:..";
    if (strlen(text) < sizeof form)
        return MESHPING_INVALID;
    for (size_t i = 0; form[i]; i++)
        if (form[i] != '.' && text[i] != form[i])
            return MESHPING_INVALID;
    int64_t year = digits(text, 4), month = digits(text + 5, 2), day = digits(text + 8, 2);
    int64_t hour = digits(text + 11, 2), minute = digits(text + 14, 2), second = digits(text + 17, 2);
    if (year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 59)
        return MESHPING_INVALID;
    int64_t days = days_of_date(year, month, day), again[3];
    date_of_days(&again[0], &again[1], &again[2], days);
    if (again[1] != month || again[2] != day)
        return MESHPING_INVALID; /* 31 February */
    int64_t fraction = 0, scale = US;
    text += sizeof form - 1;
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
    *unix_us = (days * DAY_S + hour * 3600 + minute * 60 + second) * US + fraction;
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

static meshping_status series_encode(json_object *array, const meshping_block_reader *reader, size_t i,
                                     meshping_error *err)
{
    meshping_block_entry entry;
    size_t count = 0;
    meshping_status status = meshping_block_reader_entry(reader, i, &entry);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "the block has no series %zu", i);
    meshping_sample *samples = meshping__calloc(entry.sample_count, sizeof *samples);
    if (!samples)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    status = meshping_block_reader_samples(reader, i, samples, entry.sample_count, &count, err);
    for (size_t k = 0; k < count && status == MESHPING_OK; k++)
        json_object_array_add(array, sample_encode(entry.target_id, &samples[k]));
    meshping__free(samples);
    return status;
}

meshping_status meshping__readable_encode(json_object **out, const uint8_t *block, size_t length, meshping_error *err)
{
    meshping_block_reader *reader = NULL;
    json_object *array = NULL;
    *out = NULL;
    meshping_status status = meshping_block_reader_new(&reader, block, length, err);
    if (status == MESHPING_OK && meshping_block_reader_sample_count(reader) > MESHPING__READABLE_SAMPLES_MAX)
        status = meshping_error_set(err, MESHPING_LIMIT, "the block has %zu samples, a message takes at most %d",
                                    meshping_block_reader_sample_count(reader), MESHPING__READABLE_SAMPLES_MAX);
    if (status == MESHPING_OK && !(array = json_object_new_array()))
        status = meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    for (size_t i = 0; status == MESHPING_OK && i < meshping_block_reader_target_count(reader); i++)
        status = series_encode(array, reader, i, err);
    meshping_block_reader_free(reader);
    if (status == MESHPING_OK)
        *out = array;
    else
        json_object_put(array);
    return status;
}

static unsigned reason_parse(const char *name)
{
    for (unsigned i = 1; i < MESHPING_OUTCOME_COUNT && strcmp(name, "unknown") != 0; i++)
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
