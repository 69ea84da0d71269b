/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that come with their first row: who reads one too early finds it empty, who writes makes it. */
#include "store/lazy.h"
#include "store_fixture.h"

#include <meshping/maintain.h>

static int64_t sql(const meshping_store *store, const char *text)
{
    int64_t value;
    meshping_error err = {0};
    if (meshping__sql_number((meshping__sql *)&store->sql, text, &value, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return value;
}

#define TABLES "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"

static meshping_store *reader_of(const fixture *f)
{
    meshping_store_options options;
    meshping_store *store = NULL;
    meshping_store_options_init(&options);
    options.path = f->path;
    options.read_only = true;
    assert_int_equal(meshping_store_open(&store, &options, NULL), MESHPING_OK);
    return store;
}

static void save_target(meshping_store *store, const char *host)
{
    meshping_target_list list = {0};
    meshping_target target;
    meshping_target_init(&target);
    snprintf(target.host, sizeof target.host, "%s", host);
    assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_targets_save(store, &list, NULL), MESHPING_OK);
    meshping_target_list_dispose(&list);
}

static size_t targets(meshping_store *store)
{
    meshping_target_list list = {0};
    assert_int_equal(meshping_store_targets(store, &list, NULL), MESHPING_OK);
    size_t count = list.count;
    meshping_target_list_dispose(&list);
    return count;
}

static void test_a_new_database_has_what_samples_need(void **state)
{
    fixture *f = *state;
    assert_int_equal(sql(f->store, TABLES), 6);
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_true(store_block(f->store, 1).stored);
    seal_now(f, END, END);
    assert_int_equal(sample_count(f->store, 1), 2);
    assert_int_equal(sql(f->store, TABLES), 6);
    assert_true(sql(f->store, "PRAGMA page_count") < 40);
}

/* Whoever looked before it was there sees it as soon as it is: this connection and others. */
static void test_what_was_missing_is_seen_when_it_comes(void **state)
{
    fixture *f = *state;
    meshping_store *reader = reader_of(f);
    char *value = NULL;
    assert_int_equal(targets(f->store), 0);
    assert_int_equal(targets(reader), 0);
    assert_int_equal(meshping_store_setting(reader, "k", &value, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(sql(f->store, TABLES), 6); /* reading makes nothing */
    save_target(f->store, "192.0.2.1");
    assert_int_equal(targets(f->store), 1);
    assert_int_equal(targets(reader), 1);
    assert_int_equal(sql(f->store, TABLES), 8);
    assert_int_equal(meshping_store_setting_save(f->store, "k", "v", NULL), MESHPING_OK);
    assert_int_equal(meshping_store_setting(reader, "k", &value, NULL), MESHPING_OK);
    assert_string_equal(value, "v");
    meshping_free(value);
    meshping_store_close(reader);
    fixture_reopen(f);
    assert_int_equal(targets(f->store), 1);
}

/* Its table goes with the transaction that made it; the next one makes it again. */
static void test_a_write_that_is_undone_leaves_no_table_behind(void **state)
{
    fixture *f = *state;
    meshping__sql *own = &f->store->sql;
    static const char insert[] = "INSERT INTO settings(key, value) VALUES('a', 'b')";
    static const char count[] = "SELECT count(*) FROM settings";
    for (int run = 0; run < 3; run++) {
        assert_int_equal(meshping__sql_begin(own, NULL), MESHPING_OK);
        assert_int_equal(meshping__sql_run(own, NULL, insert, ""), MESHPING_OK);
        assert_int_equal(sql(f->store, count), 1);
        assert_int_equal(meshping__sql_end(own, MESHPING_STATE, NULL), MESHPING_STATE);
        assert_int_equal(sql(f->store, count), 0);
        assert_int_equal(sql(f->store, TABLES), 6);
    }
    assert_int_equal(meshping__sql_run(own, NULL, insert, ""), MESHPING_OK);
    assert_int_equal(sql(f->store, count), 1);
    assert_int_equal(sql(f->store, TABLES), 7);
}

static int refuse_triggers(void *user, int action, const char *a, const char *b, const char *c, const char *d)
{
    (void)user, (void)a, (void)b, (void)c, (void)d;
    return action == SQLITE_CREATE_TRIGGER ? SQLITE_DENY : SQLITE_OK;
}

/* An audit log without the triggers that keep it could be changed, and nothing would ever make them. */
static void test_a_table_comes_with_its_triggers_or_not_at_all(void **state)
{
    fixture *f = *state;
    static const char tables[] = "SELECT count(*) FROM sqlite_schema WHERE tbl_name = 'audit'";
    meshping_audit_record row = {.unix_ms = 1, .user_id = 1, .user = "anna", .action = "agent.approve"};
    sqlite3_set_authorizer(f->store->sql.db, refuse_triggers, NULL);
    assert_int_not_equal(meshping_store_audit_add(f->store, &row, NULL), MESHPING_OK);
    assert_int_equal(sql(f->store, tables), 0);
    sqlite3_set_authorizer(f->store->sql.db, NULL, NULL);
    assert_int_equal(meshping_store_audit_add(f->store, &row, NULL), MESHPING_OK);
    assert_int_equal(sql(f->store, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'"),
                     2);
    assert_int_equal(sql(f->store, "SELECT count(*) FROM audit"), 1);
}

/* Ids are never given twice, though the table may be empty when a newer program brings the file up to date. */
static void test_a_table_that_had_rows_is_not_dropped(void **state)
{
    fixture *f = *state;
    save_target(f->store, "192.0.2.1");
    meshping__sql *own = &f->store->sql;
    assert_int_equal(meshping__sql_exec(own, "DELETE FROM targets; DELETE FROM target_hosts", NULL), MESHPING_OK);
    assert_int_equal(meshping__sql_begin(own, NULL), MESHPING_OK); /* as after a migration */
    assert_int_equal(meshping__sql_end(own, meshping__lazy_trim(own, NULL), NULL), MESHPING_OK);
    fixture_reopen(f);
    assert_int_equal(sql(f->store, "SELECT count(*) FROM sqlite_schema WHERE name = 'targets'"), 0);
    assert_int_equal(sql(f->store, "SELECT count(*) FROM sqlite_schema WHERE name = 'target_hosts'"), 1);
    save_target(f->store, "192.0.2.2");
    assert_int_equal(sql(f->store, "SELECT id FROM targets"), 2);
}

/* A migration finds all tables of the version that it begins with. */
static void test_what_is_missing_is_made_for_a_migration(void **state)
{
    fixture *f = *state;
    meshping__sql *own = &f->store->sql;
    assert_int_equal(meshping__sql_begin(own, NULL), MESHPING_OK);
    meshping_error err = {0};
    meshping_status status = meshping__lazy_complete(own, 9, &err);
    if (meshping__sql_end(own, status, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    assert_true(sql(f->store, TABLES) > 15);
    assert_int_equal(
        sql(f->store, "SELECT count(*) FROM pragma_table_info('quarantine_sources') WHERE name = 'leaving'"), 0);
    assert_int_equal(sql(f->store, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"), 2);
    assert_int_equal(sql(f->store, "SELECT count(*) FROM sqlite_schema WHERE name = 'gaps_by_age'"), 1);
}

/* A small file has small pages after a vacuum; samples and tables are as they were. */
static void test_a_vacuum_chooses_the_size_of_pages(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_true(store_block(f->store, 1).stored);
    save_target(f->store, "192.0.2.1");
    assert_int_equal(sql(f->store, "PRAGMA page_size"), 1024);
    meshping_store_close(f->store);
    if (meshping_store_vacuum(f->path, NULL, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    f->store = fixture_open(f);
    assert_int_equal(sql(f->store, "PRAGMA page_size"), 512);
    assert_int_equal(sql(f->store, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(sample_count(f->store, 1), 2);
    assert_int_equal(targets(f->store), 1);
    meshping_store_close(f->store);
    f->store = NULL;
    meshping_store *reader = reader_of(f); /* while somebody reads, the size stays */
    sample_count(reader, 1);
    assert_int_equal(meshping_store_vacuum(f->path, NULL, &err), MESHPING_OK);
    assert_int_equal(sample_count(reader, 1), 2);
    meshping_store_close(reader);
    f->store = fixture_open(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_new_database_has_what_samples_need),
        T(test_what_was_missing_is_seen_when_it_comes),
        T(test_a_write_that_is_undone_leaves_no_table_behind),
        T(test_a_table_comes_with_its_triggers_or_not_at_all),
        T(test_a_table_that_had_rows_is_not_dropped),
        T(test_what_is_missing_is_made_for_a_migration),
        T(test_a_vacuum_chooses_the_size_of_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
