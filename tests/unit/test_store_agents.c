/* SPDX-License-Identifier: Apache-2.0 */
/* Agents, their tickets and successors, through the store's public interface only. */
#include "store_fixture.h"

static void test_agents_are_kept_whole_in_order_of_their_first_word(void **state)
{
    fixture *f = *state;
    meshping_agent_record *all;
    size_t count = 9;
    assert_int_equal(meshping_store_agents(f->store, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_null(all);
    meshping_agent_record later = agent_record(UINT64_MAX, MESHPING_AGENT_PENDING);
    meshping_agent_record full = agent_record(AGENT, MESHPING_AGENT_HOLD);
    later.first_seen_ms = 2;
    full.first_seen_ms = 1;
    full.last_seen_ms = 20;
    full.state_changed_ms = 30;
    memset(full.host_name, 'h', sizeof full.host_name - 1);
    memset(full.approved_addresses, 'a', sizeof full.approved_addresses - 1);
    strcpy(full.version, "0.1.0");
    strcpy(full.reported_address, "10.0.0.7");
    strcpy(full.observed_address, "2001:db8::7");
    strcpy(full.name, "the <b>one</b>");
    strcpy(full.labels, "group=core,site=fra");
    strcpy(full.advertised_address, "192.0.2.7");
    strcpy(full.reason, "'; DROP TABLE agents; -- \xc3\xa4");
    assert_int_equal(meshping_store_agent_save(f->store, &later, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_agent_save(f->store, &full, NULL), MESHPING_OK);
    assert_int_equal(full.revision, 1);
    fixture_reopen(f);
    assert_int_equal(meshping_store_agents(f->store, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    assert_int_equal(all[1].id, UINT64_MAX);
    assert_int_equal(all[0].id, full.id);
    assert_memory_equal(all[0].public_key, full.public_key, 32);
    assert_int_equal(all[0].state, MESHPING_AGENT_HOLD);
    assert_string_equal(all[0].host_name, full.host_name);
    assert_string_equal(all[0].approved_addresses, full.approved_addresses);
    assert_string_equal(all[0].version, full.version);
    assert_string_equal(all[0].reported_address, full.reported_address);
    assert_string_equal(all[0].observed_address, full.observed_address);
    assert_string_equal(all[0].reason, full.reason);
    assert_string_equal(all[0].name, full.name);
    assert_string_equal(all[0].labels, full.labels);
    assert_string_equal(all[0].advertised_address, full.advertised_address);
    assert_string_equal(all[1].labels, "");
    assert_int_equal(all[0].first_seen_ms, 1);
    assert_int_equal(all[0].last_seen_ms, 20);
    assert_int_equal(all[0].state_changed_ms, 30);
    assert_int_equal(all[0].revision, 1);
    meshping_free(all);
}

static void test_who_saw_an_older_revision_changes_nothing(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    meshping_agent_record mine = add_agent(f->store, AGENT, MESHPING_AGENT_PENDING), theirs = mine;
    mine.state = MESHPING_AGENT_APPROVED;
    assert_int_equal(meshping_store_agent_save(f->store, &mine, NULL), MESHPING_OK);
    assert_int_equal(mine.revision, 2);
    theirs.state = MESHPING_AGENT_BLACKLISTED;
    assert_int_equal(meshping_store_agent_save(f->store, &theirs, &err), MESHPING_STATE);
    assert_true(strlen(err.message) > 10);
    assert_int_equal(theirs.revision, 1);
    theirs.revision = 0; /* nor by saying that it is new */
    assert_int_equal(meshping_store_agent_save(f->store, &theirs, NULL), MESHPING_STATE);
    meshping_agent_record nobody = agent_record(AGENT + 5, MESHPING_AGENT_PENDING);
    nobody.revision = 3;
    assert_int_equal(meshping_store_agent_save(f->store, &nobody, NULL), MESHPING_NOT_FOUND);
    meshping_agent_record *all;
    size_t count;
    assert_int_equal(meshping_store_agents(f->store, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_int_equal(all[0].state, MESHPING_AGENT_APPROVED);
    meshping_free(all);
}

static void test_a_name_or_label_that_is_none_is_not_stored(void **state)
{
    fixture *f = *state;
    meshping_agent_record agent = add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED), bad = agent;
    strcpy(bad.name, "a\033b");
    assert_int_equal(meshping_store_agent_save(f->store, &bad, NULL), MESHPING_INVALID);
    bad = agent;
    strcpy(bad.labels, "a=b;c");
    assert_int_equal(meshping_store_agent_save(f->store, &bad, NULL), MESHPING_INVALID);
    strcpy(agent.labels, "a=b");
    assert_int_equal(meshping_store_agent_save(f->store, &agent, NULL), MESHPING_OK);
}

static void test_a_public_key_belongs_to_one_agent(void **state)
{
    fixture *f = *state;
    meshping_agent_record first = add_agent(f->store, AGENT, MESHPING_AGENT_PENDING);
    meshping_agent_record second = agent_record(AGENT + 1, MESHPING_AGENT_PENDING), zero = second;
    memcpy(second.public_key, first.public_key, 32);
    assert_int_equal(meshping_store_agent_save(f->store, &second, NULL), MESHPING_EXISTS);
    assert_int_equal(second.revision, 0);
    zero.id = 0;
    assert_int_equal(meshping_store_agent_save(f->store, &zero, NULL), MESHPING_INVALID);
    zero.id = 5;
    zero.state = (meshping_agent_state)4;
    assert_int_equal(meshping_store_agent_save(f->store, &zero, NULL), MESHPING_INVALID);
}

static void test_many_agents_are_saved_together_or_not_at_all(void **state)
{
    fixture *f = *state;
    size_t count;
    meshping_agent_record *all;
    meshping_agent_record a = add_agent(f->store, AGENT, MESHPING_AGENT_PENDING), b = a;
    meshping_agent_record c = agent_record(AGENT + 1, MESHPING_AGENT_PENDING);
    meshping_agent_record *both[] = {&c, &b};
    outcome o = {0};
    a.state = b.state = MESHPING_AGENT_APPROVED;
    assert_int_equal(meshping_store_agent_save(f->store, &a, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_agents_save(f->store, both, 2, NULL), MESHPING_STATE); /* b is an older look */
    assert_int_equal(c.revision, 0);
    both[1] = &a;
    assert_int_equal(meshping_store_agents_save(f->store, both, 2, NULL), MESHPING_OK);
    assert_int_equal(c.revision, 1);
    const meshping_agent_seen seen[] = {{12345, 76}, {AGENT, 77}}; /* the first is gone meanwhile */
    assert_int_equal(meshping_store_submit_seen(f->store, seen, 2, on_request, &o, NULL), MESHPING_OK);
    wait_done(f->store, &o, 1);
    assert_int_equal(o.status, MESHPING_OK);
    assert_int_equal(meshping_store_agents(f->store, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        if (all[i].id == AGENT) {
            assert_int_equal(all[i].last_seen_ms, 77);
            assert_int_equal(all[i].revision, a.revision);
        }
    meshping_free(all);
}

static meshping_agent_record only_agent(meshping_store *store)
{
    meshping_agent_record *all, one;
    size_t count;
    assert_int_equal(meshping_store_agents(store, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    one = all[0];
    meshping_free(all);
    return one;
}

static void test_tickets_and_last_words_leave_the_revision(void **state)
{
    fixture *f = *state;
    meshping_agent_record record = agent_record(AGENT, MESHPING_AGENT_APPROVED);
    record.has_tid = true;
    memset(record.tid, 7, sizeof record.tid);
    assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK);
    assert_int_equal(only_agent(f->store).ticket_issued, 0);
    meshping_agent_record nobody = agent_record(AGENT + 1, MESHPING_AGENT_APPROVED), other = record;
    outcome o = {0};
    nobody.ticket_issued = 5;
    record.ticket_issued = 1700000000000001;
    record.ticket_confirmed = 1700000000000000;
    other.public_key[0] ^= 1; /* a late one of the key that it had before */
    other.ticket_issued = 1700000000000002;
    assert_int_equal(meshping_store_submit_ticket(f->store, &nobody, on_request, &o, NULL), MESHPING_OK);
    wait_done(f->store, &o, 1);
    assert_int_equal(o.status, MESHPING_OK); /* passed over */
    assert_int_equal(meshping_store_submit_ticket(f->store, &record, NULL, NULL, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_submit_ticket(f->store, &other, NULL, NULL, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_submit_seen(f->store, &(meshping_agent_seen){AGENT, 4711}, 1, NULL, NULL, NULL),
                     MESHPING_OK);
    fixture_reopen(f); /* which writes what is queued */
    meshping_agent_record back = only_agent(f->store);
    assert_int_equal(back.ticket_issued, 1700000000000001);
    assert_int_equal(back.ticket_confirmed, 1700000000000000);
    assert_int_equal(back.last_seen_ms, 4711);
    assert_int_equal(back.revision, 1);
    assert_true(back.has_tid);
    assert_memory_equal(back.tid, record.tid, sizeof record.tid);
    back.has_tid = false;
    back.last_seen_ms = 4713;
    assert_int_equal(meshping_store_submit_seen(f->store, &(meshping_agent_seen){AGENT, 4712}, 1, NULL, NULL, NULL),
                     MESHPING_OK);
    assert_int_equal(meshping_store_agent_save(f->store, &back, NULL), MESHPING_OK);
    fixture_reopen(f);
    back = only_agent(f->store);
    assert_int_equal(back.last_seen_ms, 4713); /* what had waited does not turn it back */
    assert_false(back.has_tid);
    assert_int_equal(back.ticket_issued, 1700000000000001); /* a saved row does not touch them */
}

static void test_a_successor_takes_id_and_history_in_one_step(void **state)
{
    fixture *f = *state;
    meshping_agent_record old = add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    meshping_agent_record young = add_agent(f->store, AGENT + 1, MESHPING_AGENT_PENDING);
    old.ticket_issued = 9;
    old.ticket_confirmed = 8;
    assert_int_equal(meshping_store_submit_ticket(f->store, &old, NULL, NULL, NULL), MESHPING_OK);
    assert_true(store_block(f->store, 1).stored);
    meshping_agent_record record = young;
    record.id = old.id;
    record.state = MESHPING_AGENT_APPROVED;
    record.revision = old.revision + 1; /* somebody else changed the row meanwhile: nothing happens */
    assert_int_equal(meshping_store_agent_succeed(f->store, young.id, &record, NULL), MESHPING_STATE);
    record.revision = old.revision;
    assert_int_equal(meshping_store_agent_succeed(f->store, young.id, &record, NULL), MESHPING_OK);
    assert_int_equal(record.revision, old.revision + 1);
    meshping_agent_record back = only_agent(f->store);
    assert_int_equal(back.id, AGENT);
    assert_memory_equal(back.public_key, young.public_key, 32);
    assert_int_equal(back.ticket_issued, 0); /* the old one's tickets are none of the new key's */
    assert_int_equal(back.ticket_confirmed, 0);
    assert_int_equal(sample_count(f->store, 1), 2);
    meshping_agent_record again = agent_record(AGENT + 2, MESHPING_AGENT_PENDING);
    memcpy(again.public_key, old.public_key, 32); /* the retired key is free */
    assert_int_equal(meshping_store_agent_save(f->store, &again, NULL), MESHPING_OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_agents_are_kept_whole_in_order_of_their_first_word), T(test_who_saw_an_older_revision_changes_nothing),
        T(test_a_name_or_label_that_is_none_is_not_stored),         T(test_a_public_key_belongs_to_one_agent),
        T(test_many_agents_are_saved_together_or_not_at_all),       T(test_tickets_and_last_words_leave_the_revision),
        T(test_a_successor_takes_id_and_history_in_one_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
