/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S INT64_C(1000000)

/* Samples each 5 s from 100 s on, none from 200 s to 400 s, the last at 600 s. */
static size_t make_samples(meshping_sample *samples)
{
    size_t n = 0;
    for (int64_t at_s = 100; at_s <= 600; at_s += 5)
        if (at_s <= 200 || at_s >= 400)
            samples[n++] = (meshping_sample){.slot_unix_us = at_s * S, .rtt_us = 300};
    return n;
}

static series whole(const meshping_sample *samples, size_t count)
{
    return (series){.agent_id = 1,
                    .target_id = 2,
                    .from_ms = 0,
                    .to_ms = 700000,
                    .interval_ms = 5000,
                    .samples = samples,
                    .count = count,
                    .before_ms = INT64_MIN,
                    .settled_ms = 600000};
}

/* "200-400 connection_trouble overflow;..." */
static const char *gaps_of(const series *s)
{
    static char text[512];
    text_buffer out = {0};
    size_t used = 0;
    series_json(&out, s);
    json_object *root = json_tokener_parse(out.data), *gaps, *one;
    assert_non_null(root);
    assert_true(json_object_object_get_ex(root, "gaps", &gaps));
    text[0] = '\0';
    assert_true(series_has_gaps(s) || json_object_array_length(gaps) == 0);
    for (size_t i = 0; i < json_object_array_length(gaps); i++) {
        json_object *gap = json_object_array_get_idx(gaps, i);
        json_object *from = json_object_object_get(gap, "from_ms"), *to = json_object_object_get(gap, "to_ms");
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d-%d %s%s%s", i ? ";" : "",
                                 json_object_get_int(from) / 1000, json_object_get_int(to) / 1000,
                                 json_object_get_string(json_object_object_get(gap, "reason")),
                                 json_object_object_get_ex(gap, "cause", &one) ? " " : "",
                                 json_object_object_get_ex(gap, "cause", &one) ? json_object_get_string(one) : "");
    }
    json_object_put(root);
    text_dispose(&out);
    return text;
}

static meshping_stored_gap dropped(int64_t from_s, int64_t to_s, meshping_gap_reason reason, uint64_t samples)
{
    return (meshping_stored_gap){.epoch = 1,
                                 .gap = {.first_sequence = 1,
                                         .last_sequence = 2,
                                         .first_unix_us = from_s * S,
                                         .last_unix_us = to_s * S,
                                         .sample_count = samples,
                                         .reason = reason}};
}

static void test_what_was_dropped_is_told_with_its_cause(void **state)
{
    meshping_sample samples[200];
    series s = whole(samples, make_samples(samples));
    (void)state;
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble");
    meshping_stored_gap gaps[] = {dropped(205, 300, MESHPING_GAP_EXPIRED, 900),
                                  dropped(305, 395, MESHPING_GAP_OVERFLOW, 9)};
    s.dropped = gaps;
    s.dropped_count = 2;
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble expired"); /* the one that took more */
    gaps[0] = dropped(100, 200, MESHPING_GAP_EXPIRED, 900);                 /* ends where samples are */
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble overflow");
    s.dropped_count = 1;
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble");
    gaps[0] = dropped(205, 395, MESHPING_GAP_SERVER_LOST, 1);
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble server_lost");
}

static void test_a_restart_and_a_server_that_was_away_look_different(void **state)
{
    meshping_sample samples[200];
    series s = whole(samples, make_samples(samples));
    meshping_epoch_start start = {1, 398 * S}; /* of another target, a little earlier */
    meshping_pause pause = {150 * S, 350 * S};
    meshping_stored_gap gap = dropped(205, 395, MESHPING_GAP_EXPIRED, 5);
    (void)state;
    s.starts = &start;
    s.start_count = 1;
    assert_string_equal(gaps_of(&s), "200-400 agent_restarted");
    start.first_unix_us = 100 * S;
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble");
    s.pauses = &pause;
    s.pause_count = 1;
    assert_string_equal(gaps_of(&s), "200-400 server_away");
    s.dropped = &gap;
    s.dropped_count = 1;
    assert_string_equal(gaps_of(&s), "200-400 server_away expired");
    gap.gap.reason = MESHPING_GAP_SERVER_LOST; /* a restored database is no absence */
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble server_lost");
    meshping_damage damage = {.first_unix_us = 210 * S, .last_unix_us = 390 * S};
    s.damaged = &damage;
    s.damaged_count = 1;
    assert_string_equal(gaps_of(&s), "200-400 damaged server_lost");
}

static void test_the_end_tells_whether_the_agent_is_away(void **state)
{
    meshping_sample samples[200];
    series s = whole(samples, make_samples(samples));
    (void)state;
    s.settled_ms = 700000;
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble;600-700 connection_trouble");
    s.agent_away = true;
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble;600-700 agent_away");
    s.count = 0; /* nothing in the window, but something before */
    s.before_ms = -50000;
    assert_string_equal(gaps_of(&s), "0-700 agent_away");
}

static void test_a_pause_of_the_target_is_the_reason_where_it_was_paused(void **state)
{
    meshping_sample samples[200];
    series s = whole(samples, make_samples(samples));
    meshping_target_pause pauses[] = {{203000, 396000, "new \"line\" card", 0}, {450000, 460000, "not seen", 0}};
    (void)state;
    s.target_pauses = pauses;
    s.target_pause_count = 2;
    assert_string_equal(gaps_of(&s), "200-400 paused");
    text_buffer out = {0};
    series_json(&out, &s);
    assert_non_null(strstr(out.data, "\"pause\":{\"reason\":\"new \\\"line\\\" card\",\"from_ms\":203000,"
                                     "\"until_ms\":396000}"));
    text_dispose(&out);
    pauses[0].from_ms = 250000; /* what was missing before and after has another reason */
    pauses[0].to_ms = 300000;
    assert_string_equal(gaps_of(&s), "200-250 connection_trouble;250-300 paused;300-400 connection_trouble");
    pauses[1] = (meshping_target_pause){300000, 0, "still", 0};
    assert_string_equal(gaps_of(&s), "200-250 connection_trouble;250-300 paused;300-400 paused");
}

static void test_what_the_server_noted_is_matched_on_the_agents_clock(void **state)
{
    meshping_sample samples[200];
    series s = whole(samples, make_samples(samples));
    meshping_clock_note clocks[] = {{0, 100 * S, 1000}, {250 * S, 100 * S, 1000}};
    meshping_target_pause target_pause = {103000, 296000, "moved", 0};
    meshping_pause pause = {110 * S, 150 * S};
    (void)state;
    s.clocks = clocks;
    s.clock_count = 1;
    s.target_pauses = &target_pause;
    s.target_pause_count = 1;
    assert_string_equal(gaps_of(&s), "200-400 paused");
    target_pause.from_ms = 203000; /* was over when samples were missing, by the agent's clock */
    assert_string_equal(gaps_of(&s), "200-303 connection_trouble;303-400 paused");
    clocks[0].offset_us = -1000 * S;
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble");
    clocks[0].offset_us = 0; /* it was set ahead meanwhile: the slots before are by the old one */
    s.clock_count = 2;
    assert_string_equal(gaps_of(&s), "200-400 paused");
    s.target_pause_count = 0;
    clocks[0].offset_us = 100 * S;
    s.clock_count = 1;
    s.pauses = &pause;
    s.pause_count = 1;
    assert_string_equal(gaps_of(&s), "200-400 server_away");
    pause = (meshping_pause){310 * S, 350 * S};
    assert_string_equal(gaps_of(&s), "200-400 connection_trouble");
    s.clock_count = 0;
    assert_string_equal(gaps_of(&s), "200-400 server_away");
}

static void test_a_pause_is_told_though_no_sample_was_there_before(void **state)
{
    meshping_sample samples[200];
    series s = whole(samples, make_samples(samples));
    meshping_target_pause pause = {-1000, 98000, "not yet", 0};
    (void)state;
    s.target_pauses = &pause;
    s.target_pause_count = 1;
    assert_string_equal(gaps_of(&s), "0-100 paused;200-400 connection_trouble");
    pause.to_ms = 50000;
    assert_string_equal(gaps_of(&s), "0-50 paused;200-400 connection_trouble");
    pause.to_ms = 0;
    s.count = 0;
    assert_string_equal(gaps_of(&s), "0-600 paused");
    s.before_ms = -90000; /* what ended before the window is not in it */
    pause = (meshping_target_pause){-60000, -30000, "over", 0};
    assert_string_equal(gaps_of(&s), "0-600 connection_trouble");
    pause = (meshping_target_pause){-60000, 50000, "over", 0};
    assert_string_equal(gaps_of(&s), "0-50 paused;50-600 connection_trouble");
    s.before_ms = INT64_MIN;
    s.target_pause_count = 0;
    assert_string_equal(gaps_of(&s), "");
}

static void test_of_a_whole_stretch_there_is_nothing_to_explain(void **state)
{
    meshping_sample samples[200];
    series s = whole(samples, make_samples(samples));
    (void)state;
    assert_true(series_has_gaps(&s));
    s.from_ms = 100000;
    s.count = 21; /* up to 200 s */
    s.settled_ms = 205000;
    assert_string_equal(gaps_of(&s), "");
    assert_false(series_has_gaps(&s));
    s.from_ms = 0; /* nothing is told of the time before its first sample, but pauses would be */
    assert_string_equal(gaps_of(&s), "");
    assert_true(series_has_gaps(&s));
    s.before_ms = 50000; /* it begins in a gap */
    assert_string_equal(gaps_of(&s), "50-100 connection_trouble");
}

static void test_numbers_are_written_in_full(void **state)
{
    const int64_t numbers[] = {0, 1, 9, 10, -1, -10, 4294967231, INT64_MAX, INT64_MIN};
    text_buffer out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "%lld", (long long)numbers[i]);
        out.length = 0;
        text_number(&out, numbers[i]);
        assert_string_equal(out.data, wanted);
    }
    text_dispose(&out);
}

static void test_an_outcome_of_a_later_version_is_told_by_its_number(void **state)
{
    const meshping_sample samples[] = {{.slot_unix_us = 5000000, .outcome = MESHPING_OUTCOME_TIMEOUT},
                                       {.slot_unix_us = 10000000, .outcome = 9},
                                       {.slot_unix_us = 15000000, .outcome = 31}};
    const series s = {.samples = samples, .count = 3, .interval_ms = 5000, .to_ms = 20000, .before_ms = INT64_MIN};
    text_buffer out = {0};
    (void)state;
    series_json(&out, &s);
    assert_non_null(strstr(out.data, "\"outcome\":[\"timeout\",\"outcome_9\",\"outcome_31\"]"));
    text_dispose(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_dropped_is_told_with_its_cause),
        cmocka_unit_test(test_a_pause_of_the_target_is_the_reason_where_it_was_paused),
        cmocka_unit_test(test_what_the_server_noted_is_matched_on_the_agents_clock),
        cmocka_unit_test(test_a_pause_is_told_though_no_sample_was_there_before),
        cmocka_unit_test(test_a_restart_and_a_server_that_was_away_look_different),
        cmocka_unit_test(test_the_end_tells_whether_the_agent_is_away),
        cmocka_unit_test(test_of_a_whole_stretch_there_is_nothing_to_explain),
        cmocka_unit_test(test_numbers_are_written_in_full),
        cmocka_unit_test(test_an_outcome_of_a_later_version_is_told_by_its_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
