/* SPDX-License-Identifier: Apache-2.0 */
/* Users, sessions, links, tokens, and the audit log. */
#include "store_fixture.h"

#include <meshping/people.h>
#include <sqlite3.h>

static const char PASSWORD[] = "scrypt$131072$8$1$c2FsdA$aGFzaA";

static meshping_user_record add_user(meshping_store *store, const char *name, meshping_role role)
{
    meshping_user_record user = {.created_ms = 7, .role = role};
    snprintf(user.name, sizeof user.name, "%s", name);
    snprintf(user.password, sizeof user.password, "%s", PASSWORD);
    assert_int_equal(meshping_store_user_save(store, &user, false, NULL), MESHPING_OK);
    return user;
}

/* ---- users ---- */

static void test_users_are_found_by_name_and_id(void **state)
{
    fixture *f = *state;
    size_t count = 9;
    meshping_user_record got, again = {0};
    assert_int_equal(meshping_store_user_count(f->store, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_user_by_name(f->store, "anna", &got, NULL), MESHPING_NOT_FOUND);
    meshping_user_record anna = add_user(f->store, "anna", MESHPING_ROLE_ADMIN);
    assert_true(anna.id != 0);
    assert_true(add_user(f->store, "Anna", MESHPING_ROLE_ADMIN).id != anna.id); /* case-sensitive */
    strcpy(again.name, "anna");
    assert_int_equal(meshping_store_user_save(f->store, &again, false, NULL), MESHPING_EXISTS);
    assert_int_equal(again.id, 0);
    assert_int_equal(meshping_store_user_by_name(f->store, "anna", &got, NULL), MESHPING_OK);
    assert_memory_equal(&got, &anna, sizeof got);
    anna.role = MESHPING_ROLE_VIEWER;
    anna.disabled = true;
    strcpy(anna.email, "anna@example.org");
    assert_int_equal(meshping_store_user_save(f->store, &anna, false, NULL), MESHPING_OK);
    fixture_reopen(f);
    assert_int_equal(meshping_store_user_by_id(f->store, anna.id, &got, NULL), MESHPING_OK);
    assert_memory_equal(&got, &anna, sizeof got);
    assert_int_equal(meshping_store_user_count(f->store, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    meshping_user_record *all = NULL;
    assert_int_equal(meshping_store_users(f->store, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    assert_string_equal(all[0].name, "Anna");
    assert_memory_equal(&all[1], &anna, sizeof anna);
    meshping_free(all);
    anna.id = 12345;
    strcpy(anna.name, "nobody");
    assert_int_equal(meshping_store_user_save(f->store, &anna, false, NULL), MESHPING_NOT_FOUND);
    anna.name[0] = 0;
    assert_int_equal(meshping_store_user_save(f->store, &anna, false, NULL), MESHPING_INVALID);
}

static void test_the_last_administrator_stays_one(void **state)
{
    fixture *f = *state;
    meshping_user_record anna = add_user(f->store, "anna", MESHPING_ROLE_ADMIN), got;
    add_user(f->store, "bert", MESHPING_ROLE_OPERATOR);
    meshping_user_record invited = {.name = "cara", .role = MESHPING_ROLE_ADMIN}; /* has no password yet */
    assert_int_equal(meshping_store_user_save(f->store, &invited, false, NULL), MESHPING_OK);

    meshping_user_record changed = anna;
    changed.role = MESHPING_ROLE_OPERATOR;
    assert_int_equal(meshping_store_user_save(f->store, &changed, true, NULL), MESHPING_STATE);
    changed = anna;
    changed.disabled = true;
    assert_int_equal(meshping_store_user_save(f->store, &changed, true, NULL), MESHPING_STATE);
    changed = anna;
    changed.password[0] = 0;
    assert_int_equal(meshping_store_user_save(f->store, &changed, true, NULL), MESHPING_STATE);
    assert_int_equal(meshping_store_user_by_id(f->store, anna.id, &got, NULL), MESHPING_OK);
    assert_memory_equal(&got, &anna, sizeof got);

    strcpy(invited.password, PASSWORD);
    assert_int_equal(meshping_store_user_save(f->store, &invited, false, NULL), MESHPING_OK);
    changed = anna;
    changed.disabled = true;
    assert_int_equal(meshping_store_user_save(f->store, &changed, true, NULL), MESHPING_OK);
}

/* ---- sessions ---- */

static void test_web_sessions_end_by_hand_and_by_age(void **state)
{
    fixture *f = *state;
    meshping_web_session_record session = {.created_ms = 100, .last_used_ms = 200, .confirmed_ms = 150}, got;
    memset(session.token_hash, 0xa5, 32);
    strcpy(session.csrf, "token");
    strcpy(session.address, "192.0.2.7");
    strcpy(session.agent, "Firefox");
    session.user_id = 77;
    assert_int_equal(meshping_store_web_session_save(f->store, &session, NULL), MESHPING_NOT_FOUND); /* whose? */
    session.user_id = add_user(f->store, "anna", MESHPING_ROLE_VIEWER).id;
    assert_int_equal(meshping_store_web_session_save(f->store, &session, NULL), MESHPING_OK);
    session.last_used_ms = 300; /* used again */
    assert_int_equal(meshping_store_web_session_used(f->store, session.token_hash, 300, NULL), MESHPING_OK);
    fixture_reopen(f);
    assert_int_equal(meshping_store_web_session(f->store, session.token_hash, &got, NULL), MESHPING_OK);
    assert_memory_equal(&got, &session, sizeof got);
    assert_int_equal(meshping_store_web_sessions_expire(f->store, 100, 300, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_web_session(f->store, session.token_hash, &got, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_web_sessions_expire(f->store, 0, 301, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_web_session(f->store, session.token_hash, &got, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_web_session_save(f->store, &session, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_web_sessions_expire(f->store, 101, 0, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_web_session(f->store, session.token_hash, &got, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_web_session_save(f->store, &session, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_web_session_delete(f->store, session.token_hash, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_web_session_delete(f->store, session.token_hash, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_web_session_used(f->store, session.token_hash, 400, NULL), MESHPING_NOT_FOUND);
}

static void add_session(fixture *f, uint64_t user_id, int byte)
{
    meshping_web_session_record session = {.user_id = user_id, .created_ms = byte, .last_used_ms = byte};
    memset(session.token_hash, byte, 32);
    assert_int_equal(meshping_store_web_session_save(f->store, &session, NULL), MESHPING_OK);
}

static size_t sessions_of(fixture *f, uint64_t user_id)
{
    meshping_web_session_record *all = NULL;
    size_t count = 99;
    assert_int_equal(meshping_store_web_sessions(f->store, user_id, &all, &count, NULL), MESHPING_OK);
    for (size_t i = 1; i < count; i++)
        assert_true(all[i - 1].last_used_ms >= all[i].last_used_ms);
    meshping_free(all);
    return count;
}

static void test_a_users_sessions_end_together_and_nobody_elses(void **state)
{
    fixture *f = *state;
    meshping_user_record anna = add_user(f->store, "anna", MESHPING_ROLE_ADMIN),
                         bert = add_user(f->store, "bert", MESHPING_ROLE_VIEWER);
    uint8_t kept[32];
    memset(kept, 2, sizeof kept);
    for (int i = 1; i <= 3; i++)
        add_session(f, anna.id, i);
    add_session(f, bert.id, 4);
    assert_int_equal(sessions_of(f, anna.id), 3);
    assert_int_equal(meshping_store_web_sessions_delete(f->store, anna.id, kept, NULL), MESHPING_OK);
    assert_int_equal(sessions_of(f, anna.id), 1);
    assert_int_equal(meshping_store_user_save(f->store, &anna, false, NULL), MESHPING_OK);
    assert_int_equal(sessions_of(f, anna.id), 1);
    assert_int_equal(meshping_store_user_save(f->store, &anna, true, NULL), MESHPING_OK);
    assert_int_equal(sessions_of(f, anna.id), 0);
    assert_int_equal(sessions_of(f, bert.id), 1);
    assert_int_equal(meshping_store_web_sessions_delete(f->store, bert.id, NULL, NULL), MESHPING_OK);
    assert_int_equal(sessions_of(f, bert.id), 0);
}

/* ---- links ---- */

static void test_a_link_works_once_and_in_its_time(void **state)
{
    fixture *f = *state;
    meshping_user_record anna = add_user(f->store, "anna", MESHPING_ROLE_VIEWER), got;
    meshping_link_record link = {.user_id = anna.id, .created_ms = 1000, .expires_ms = 2000}, found;
    memset(link.token_hash, 1, 32);
    add_session(f, anna.id, 9);
    assert_int_equal(meshping_store_link_add(f->store, &link, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_link(f->store, link.token_hash, 1999, &found, NULL), MESHPING_OK);
    assert_memory_equal(&found, &link, sizeof link);
    assert_int_equal(meshping_store_link(f->store, link.token_hash, 2000, &found, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_link_use(f->store, link.token_hash, 2000, "new", &got, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(sessions_of(f, anna.id), 1);

    uint8_t first[32];
    memcpy(first, link.token_hash, 32);
    memset(link.token_hash, 2, 32); /* a newer one takes the place of the first */
    assert_int_equal(meshping_store_link_add(f->store, &link, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_link(f->store, first, 1500, &found, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_link_use(f->store, link.token_hash, 1500, "new", &got, NULL), MESHPING_OK);
    assert_string_equal(got.name, "anna");
    assert_int_equal(meshping_store_user_by_id(f->store, anna.id, &got, NULL), MESHPING_OK);
    assert_string_equal(got.password, "new");
    assert_int_equal(sessions_of(f, anna.id), 0);
    assert_int_equal(meshping_store_link_use(f->store, link.token_hash, 1500, "newer", &got, NULL), MESHPING_NOT_FOUND);

    assert_int_equal(meshping_store_link_add(f->store, &link, NULL), MESHPING_OK);
    anna.disabled = true;
    assert_int_equal(meshping_store_user_save(f->store, &anna, false, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_link_use(f->store, link.token_hash, 1500, "newer", &got, NULL), MESHPING_STATE);
    link.user_id = 77;
    assert_int_equal(meshping_store_link_add(f->store, &link, NULL), MESHPING_NOT_FOUND);
}

/* ---- tokens ---- */

static void test_tokens_are_found_by_hash_and_belong_to_one_user(void **state)
{
    fixture *f = *state;
    meshping_user_record anna = add_user(f->store, "anna", MESHPING_ROLE_ADMIN),
                         bert = add_user(f->store, "bert", MESHPING_ROLE_VIEWER);
    meshping_token_record token = {.user_id = anna.id,
                                   .name = "ci",
                                   .role = MESHPING_ROLE_OPERATOR,
                                   .created_ms = 5,
                                   .expires_ms = 50},
                          got, *all = NULL;
    size_t count = 0;
    memset(token.token_hash, 7, 32);
    assert_int_equal(meshping_store_token_add(f->store, &token, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_token_used(f->store, token.id, 33, NULL), MESHPING_OK);
    fixture_reopen(f);
    assert_int_equal(meshping_store_token(f->store, token.token_hash, &got, NULL), MESHPING_OK);
    assert_string_equal(got.user, "anna");
    assert_string_equal(got.name, "ci");
    assert_int_equal(got.role, MESHPING_ROLE_OPERATOR);
    assert_int_equal(got.used_ms, 33);
    assert_int_equal(meshping_store_tokens(f->store, bert.id, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_tokens(f->store, 0, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    meshping_free(all);
    assert_int_equal(meshping_store_token_delete(f->store, token.id, bert.id, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_credentials_expire(f->store, 50, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_token_delete(f->store, token.id, anna.id, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_token(f->store, token.token_hash, &got, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_token_add(f->store, &token, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_credentials_expire(f->store, 51, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_token(f->store, token.token_hash, &got, NULL), MESHPING_NOT_FOUND);
    token.user_id = 77;
    assert_int_equal(meshping_store_token_add(f->store, &token, NULL), MESHPING_NOT_FOUND);
}

/* ---- audit ---- */

static meshping_audit_record row_of(int64_t unix_ms, const char *user, const char *action, const char *detail)
{
    meshping_audit_record row = {.unix_ms = unix_ms, .user_id = 1};
    snprintf(row.user, sizeof row.user, "%s", user);
    snprintf(row.via, sizeof row.via, "session");
    snprintf(row.address, sizeof row.address, "192.0.2.1");
    snprintf(row.action, sizeof row.action, "%s", action);
    snprintf(row.detail, sizeof row.detail, "%s", detail);
    return row;
}

static size_t found(fixture *f, meshping_audit_query query)
{
    meshping_audit_record *rows = NULL;
    size_t count = 0;
    uint64_t next;
    if (!query.limit)
        query.limit = 100;
    assert_int_equal(meshping_store_audit(f->store, &query, &rows, &count, &next, NULL), MESHPING_OK);
    meshping_free(rows);
    return count;
}

#define FOUND(...) found(f, (meshping_audit_query){__VA_ARGS__})

static void test_the_audit_log_is_searched_page_by_page(void **state)
{
    fixture *f = *state;
    assert_int_equal(FOUND(.limit = 10), 0);
    for (int i = 0; i < 25; i++) {
        meshping_audit_record row =
            row_of(1000 + i, i % 2 ? "anna" : "bert", i % 5 ? "target.change" : "user.change", "Rack 7 & 'x' %");
        assert_int_equal(meshping_store_audit_add(f->store, &row, NULL), MESHPING_OK);
    }
    assert_int_equal(FOUND(.user = "anna"), 12);
    assert_int_equal(FOUND(.user = "ann"), 0);
    assert_int_equal(FOUND(.action = "user."), 5);
    assert_int_equal(FOUND(.action = "%"), 0);
    assert_int_equal(FOUND(.text = "rack 7"), 25);
    assert_int_equal(FOUND(.text = "' OR 1=1 --"), 0);
    assert_int_equal(FOUND(.text = "_"), 0);
    assert_int_equal(FOUND(.from_ms = 1010, .to_ms = 1020), 10);
    assert_int_equal(FOUND(.before_id = 11), 10);
    assert_int_equal(FOUND(.before_id = UINT64_MAX / 2 + 2), 25);
    meshping_audit_query query = {.limit = 10};
    uint64_t last = UINT64_MAX;
    size_t sum = 0;
    do {
        meshping_audit_record *rows = NULL;
        size_t count = 0;
        assert_int_equal(meshping_store_audit(f->store, &query, &rows, &count, &query.before_id, NULL), MESHPING_OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(rows[i].id < last);
            last = rows[i].id;
        }
        sum += count;
        meshping_free(rows);
    } while (query.before_id);
    assert_int_equal(sum, 25);
}

static int execute(fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    sqlite3_close(db);
    return rc;
}

static void test_the_audit_log_is_append_only(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 10; i++) {
        meshping_audit_record row = row_of(1000 + i, "anna", "user.change", "");
        assert_int_equal(meshping_store_audit_add(f->store, &row, NULL), MESHPING_OK);
    }
    assert_int_equal(execute(f, "UPDATE audit SET user = 'bert'"), SQLITE_CONSTRAINT);
    assert_int_equal(execute(f, "DELETE FROM audit"), SQLITE_CONSTRAINT);
    assert_int_equal(execute(f, "DELETE FROM audit WHERE id = 1"), SQLITE_CONSTRAINT);
    assert_int_equal(FOUND(.user = "anna"), 10);
    assert_int_equal(meshping_store_audit_expire(f->store, 1004, 3, NULL), MESHPING_OK);
    assert_int_equal(FOUND(.user = "anna"), 7);
    assert_int_equal(meshping_store_audit_expire(f->store, 1004, 100, NULL), MESHPING_OK);
    assert_int_equal(FOUND(.user = "anna"), 6);
    assert_int_equal(meshping_store_audit_expire(f->store, 1004, 100, NULL), MESHPING_OK);
    assert_int_equal(FOUND(.user = "anna"), 6);
    assert_int_equal(execute(f, "DELETE FROM audit WHERE id = 5"), SQLITE_CONSTRAINT);
}

static void test_an_audit_row_goes_with_its_change_or_not_at_all(void **state)
{
    fixture *f = *state;
    meshping_audit_record row = row_of(1, "anna", "user.create", "");
    meshping_user_record user = {.name = "bert", .role = MESHPING_ROLE_VIEWER};
    /* one transaction of several statements; the id is the user's, not the row's */
    meshping_store_audit_begin(f->store, &row);
    assert_int_equal(meshping_store_user_save(f->store, &user, true, NULL), MESHPING_OK);
    assert_true(meshping_store_audit_end(f->store));
    assert_int_equal(FOUND(.limit = 9), 1);
    assert_int_equal(user.id, 1);
    /* one statement alone */
    meshping_store_audit_begin(f->store, &row);
    assert_int_equal(meshping_store_setting_save(f->store, "a", "b", NULL), MESHPING_OK);
    assert_int_equal(meshping_store_setting_save(f->store, "a", "c", NULL), MESHPING_OK);
    assert_true(meshping_store_audit_end(f->store));
    assert_int_equal(FOUND(.limit = 9), 2);
    /* that a session was used is nobody's change */
    add_session(f, user.id, 1);
    uint8_t hash[MESHPING_TOKEN_HASH_LEN];
    memset(hash, 1, sizeof hash);
    meshping_store_audit_begin(f->store, &row);
    assert_int_equal(meshping_store_web_session_used(f->store, hash, 7, NULL), MESHPING_OK);
    assert_false(meshping_store_audit_end(f->store));
    assert_int_equal(FOUND(.limit = 9), 2);
    /* a change that fails, and one that changes nothing */
    meshping_user_record again = {.name = "bert"};
    meshping_store_audit_begin(f->store, &row);
    assert_int_equal(meshping_store_user_save(f->store, &again, false, NULL), MESHPING_EXISTS);
    assert_int_equal(meshping_store_token_delete(f->store, 1, 0, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(FOUND(.limit = 9), 2);
    assert_false(meshping_store_audit_end(f->store));
    /* and nothing is left waiting */
    assert_int_equal(meshping_store_setting_save(f->store, "a", "d", NULL), MESHPING_OK);
    assert_int_equal(FOUND(.limit = 9), 2);
    /* a row that cannot be written takes its change back */
    assert_int_equal(execute(f, "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'x'); END"),
                     SQLITE_OK);
    meshping_store_audit_begin(f->store, &row);
    assert_int_not_equal(meshping_store_setting_save(f->store, "a", "e", NULL), MESHPING_OK);
    assert_false(meshping_store_audit_end(f->store));
    char *value = NULL;
    assert_int_equal(meshping_store_setting(f->store, "a", &value, NULL), MESHPING_OK);
    assert_string_equal(value, "d");
    meshping_free(value);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_users_are_found_by_name_and_id),
        T(test_the_last_administrator_stays_one),
        T(test_web_sessions_end_by_hand_and_by_age),
        T(test_a_users_sessions_end_together_and_nobody_elses),
        T(test_a_link_works_once_and_in_its_time),
        T(test_tokens_are_found_by_hash_and_belong_to_one_user),
        T(test_the_audit_log_is_searched_page_by_page),
        T(test_the_audit_log_is_append_only),
        T(test_an_audit_row_goes_with_its_change_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
