/* SPDX-License-Identifier: Apache-2.0 */
/* What agents on hold send. */
#include "store_fixture.h"

static outcome submit_from(meshping_store *store, uint64_t sequence, const char *address, bool released)
{
    size_t length;
    int64_t first_us = T0 + (int64_t)sequence * 2 * STEP;
    outcome o = {0};
    meshping_block_write write = {.agent_id = AGENT,
                                  .epoch = EPOCH,
                                  .sequence = sequence,
                                  .bytes = make_block(first_us, 2, 3, &length),
                                  .received_unix_us = first_us + 2 * STEP,
                                  .clock = {.offset_us = -7 * (int64_t)sequence},
                                  .released = released};
    write.length = length;
    snprintf(write.source, sizeof write.source, "%s", address);
    assert_int_equal(meshping_store_submit_block(store, &write, on_done, &o, NULL), MESHPING_OK);
    wait_done(store, &o, 1);
    return o;
}

static size_t quarantine_sources(meshping_store *store, meshping_quarantine_source *out)
{
    meshping_quarantine_source *sources = NULL;
    size_t count = 0;
    assert_int_equal(meshping_store_quarantine(store, AGENT, &sources, &count, NULL), MESHPING_OK);
    for (size_t i = 0; i < count; i++)
        out[i] = sources[i];
    meshping_free(sources);
    return count;
}

static void test_what_an_agent_on_hold_sends_is_kept_apart_by_address(void **state)
{
    fixture *f = *state;
    meshping_quarantine_source sources[4];
    meshping_agent_record record = add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_true(submit_from(f->store, 1, "192.0.2.1", false).stored);
    record.state = MESHPING_AGENT_HOLD;
    assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK);
    outcome o = submit_from(f->store, 1, "192.0.2.2", false); /* known: from before */
    assert_false(o.stored);
    o = submit_from(f->store, 2, "192.0.2.2", false);
    assert_true(o.stored && o.status == MESHPING_OK);
    assert_int_equal(o.range_count, 1);
    assert_range(&o.ranges[0], 1, 2);
    assert_false(submit_from(f->store, 2, "192.0.2.2", false).stored); /* once */
    o = submit_from(f->store, 2, "192.0.2.3", false);                  /* somebody else's 2 is another one */
    assert_true(o.stored);
    assert_int_equal(sample_count(f->store, 1), 2); /* none of it counts */
    assert_int_equal(quarantine_sources(f->store, sources), 2);
    assert_string_equal(sources[0].address, "192.0.2.2");
    assert_int_equal(sources[0].samples, 6);
    assert_int_equal(sources[0].blocks, 1);
    assert_int_equal(sources[0].range_count, 1);
    assert_range(&sources[0].ranges[0], 2, 2);
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    fixture_reopen(f);
    assert_int_equal(meshping_store_quarantine_ranges(f->store, AGENT, EPOCH, "192.0.2.2", ranges, &count, NULL),
                     MESHPING_OK);
    assert_int_equal(count, 1);
    assert_range(&ranges[0], 1, 2);
    assert_int_equal(meshping_store_quarantine_ranges(f->store, AGENT, EPOCH, "192.0.2.9", ranges, &count, NULL),
                     MESHPING_OK);
    assert_range(&ranges[0], 1, 1);
}

static void test_what_is_kept_of_a_quarantine_enters_once(void **state)
{
    fixture *f = *state;
    meshping_quarantine_source sources[4];
    meshping_quarantined row;
    meshping_agent_record record = add_agent(f->store, AGENT, MESHPING_AGENT_HOLD);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        assert_true(submit_from(f->store, sequence, "192.0.2.2", false).stored);
    assert_int_equal(quarantine_sources(f->store, sources), 1);
    assert_int_equal(meshping_store_quarantine_decide(f->store, sources[0].id, true, NULL), MESHPING_OK);
    assert_int_equal(submit_from(f->store, 1, "192.0.2.2", true).status, MESHPING_STATE); /* not while it is on hold */
    record.state = MESHPING_AGENT_APPROVED;
    assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK);
    for (int again = 0; again < 2; again++) { /* as after a kill half-way */
        uint64_t after = 0, rows = 0;
        while (meshping_store_quarantine_next(f->store, sources[0].id, after, &row, NULL) == MESHPING_OK) {
            outcome o = {0};
            assert_int_equal(row.clock_offset_us, -7 * (int64_t)row.gap.first_sequence);
            meshping_block_write write = {.agent_id = AGENT,
                                          .epoch = EPOCH,
                                          .sequence = row.gap.first_sequence,
                                          .bytes = row.bytes,
                                          .length = row.length,
                                          .received_unix_us = row.received_unix_us,
                                          .released = true};
            assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, NULL), MESHPING_OK);
            wait_done(f->store, &o, 1);
            assert_int_equal(o.status, MESHPING_OK);
            assert_int_equal(o.stored, !again);
            after = row.id;
            rows++;
        }
        assert_int_equal(rows, 3);
        assert_int_equal(sample_count(f->store, 1), 6);
    }
    assert_int_equal(meshping_store_quarantine_delete(f->store, sources[0].id, NULL), MESHPING_OK);
    assert_int_equal(quarantine_sources(f->store, sources), 0);
    assert_int_equal(meshping_store_quarantine_next(f->store, sources[0].id, 0, &row, NULL), MESHPING_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_an_agent_on_hold_sends_is_kept_apart_by_address, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_is_kept_of_a_quarantine_enters_once, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
