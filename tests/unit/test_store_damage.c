/* SPDX-License-Identifier: Apache-2.0 */
/* What is damaged in the database is told with its time, costs what was in it, and stops no question. */
#include "store_fixture.h"

#include <fcntl.h>

#define HOUR INT64_C(3600000000)
#define PERIOD (12 * HOUR)
#define START (T0 - T0 % (2 * PERIOD))
#define HOURS 36
#define ROUNDS 30  /* an hour */
#define TARGETS 40 /* in two groups: 1 to 31, and 32 to 40 */
#define OTHER (AGENT + 1)
#define ALL (START + HOURS * HOUR)

static uint64_t dice = 77;

static void store_hour(const fixture *f, uint64_t agent_id, int hour)
{
    meshping_block_builder *builder = NULL;
    outcome o = {0};
    meshping_block_write write = {.agent_id = agent_id,
                                  .epoch = EPOCH,
                                  .sequence = (uint64_t)hour + 1,
                                  .received_unix_us = START + (hour + 1) * HOUR};
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (uint64_t t = 1; t <= TARGETS; t++)
        for (int i = 0; i < ROUNDS; i++) {
            dice = dice * 6364136223846793005u + 1442695040888963407u; /* does not compress */
            meshping_sample sample = {.slot_unix_us = START + hour * HOUR + i * (HOUR / ROUNDS),
                                      .rtt_us = (uint32_t)(dice >> 44),
                                      .outcome = i == 0 ? MESHPING_OUTCOME_TIMEOUT : MESHPING_OUTCOME_OK};
            if (i == 0)
                sample.rtt_us = 0;
            assert_int_equal(meshping_block_builder_add(builder, t, &sample), MESHPING_OK);
        }
    assert_int_equal(meshping_block_builder_finish(builder, &write.bytes, &write.length), MESHPING_OK);
    meshping_block_builder_free(builder);
    assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, NULL), MESHPING_OK);
    wait_done(f->store, &o, 1);
    assert_true(o.stored);
}

/* Two agents, all of it sealed but the last hour. */
static void fill(fixture *f)
{
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    add_agent(f->store, OTHER, MESHPING_AGENT_APPROVED);
    for (int hour = 0; hour < HOURS; hour++) {
        store_hour(f, AGENT, hour);
        store_hour(f, OTHER, hour);
        if (hour < HOURS - 1)
            seal_now(f, START + (hour + 1) * HOUR, 100 * HOUR);
    }
}

static void run(const fixture *f, const char *text)
{
    meshping_error err = {0};
    if (meshping__sql_exec(&f->store->sql, text, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
}

static size_t told(const fixture *f, const meshping_damage **damaged)
{
    size_t count;
    meshping_store_damaged(f->store, damaged, &count);
    return count;
}

static uint64_t replies(const fixture *f, uint64_t agent_id, uint64_t target_id)
{
    static meshping_rollup sum;
    const meshping_pair pair = {agent_id, target_id};
    meshping_error err = {0};
    int64_t from_us = START, to_us = ALL;
    if (meshping_store_group(f->store, &pair, 1, &from_us, &to_us, &sum, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return sum.counts[MESHPING_OUTCOME_OK] / (ROUNDS - 1); /* in hours */
}

/* The replies of a pair in points, in hours. */
static uint64_t in_points(const fixture *f, uint64_t target_id, size_t most)
{
    meshping_point *points = NULL;
    meshping_error err = {0};
    size_t count;
    int64_t step_us;
    uint64_t sum = 0;
    if (meshping_store_points(f->store, AGENT, target_id, START, ALL, most, &points, &count, &step_us, &err) !=
        MESHPING_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < count; i++)
        sum += points[i].counts[MESHPING_OUTCOME_OK];
    meshping_free(points);
    return sum / (ROUNDS - 1);
}

static size_t worst_pairs(const fixture *f)
{
    meshping_pair_point *worst = NULL;
    meshping_error err = {0};
    size_t count;
    if (meshping_store_worst(f->store, 0, START, ALL, 1000, &worst, &count, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    meshping_free(worst);
    return count;
}

static size_t last_pairs(const fixture *f)
{
    meshping_pair_sample *last = NULL;
    meshping_error err = {0};
    size_t count;
    if (meshping_store_last(f->store, 0, 0, &last, &count, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    meshping_free(last);
    return count;
}

static void assert_one(const fixture *f, meshping_damage_kind kind, int64_t first_us, int64_t last_us)
{
    const meshping_damage *damaged;
    assert_int_equal(told(f, &damaged), 1);
    assert_int_equal(damaged[0].kind, kind);
    assert_int_equal(damaged[0].first_unix_us, first_us);
    assert_int_equal(damaged[0].last_unix_us, last_us);
}

static void assert_all_there(const fixture *f)
{
    const meshping_damage *damaged;
    assert_int_equal(replies(f, 0, 0), 2 * TARGETS * HOURS);
    assert_int_equal(told(f, &damaged), 0);
    assert_int_equal(in_points(f, 7, 100), HOURS);
    assert_int_equal(worst_pairs(f), 2 * TARGETS);
    assert_int_equal(last_pairs(f), 2 * TARGETS);
    assert_int_equal(told(f, &damaged), 0);
}

static void test_a_damaged_row_of_roll_ups_costs_its_hours(void **state)
{
    fixture *f = *state;
    const meshping_damage *damaged;
    const int64_t period = (START + PERIOD) / PERIOD;
    fill(f);
    assert_all_there(f);
    assert_int_equal(meshping__sql_run(&f->store->sql, NULL,
                                       "UPDATE rollups SET bytes = zeroblob(length(bytes)) WHERE agent_id = ?1"
                                       " AND target_group = 0 AND period = ?2",
                                       "ii", (int64_t)AGENT, period),
                     MESHPING_OK);
    assert_int_equal(replies(f, 0, 0), 2 * TARGETS * HOURS - 31 * 12);
    assert_one(f, MESHPING_DAMAGE_ROLLUPS, START + PERIOD, START + 2 * PERIOD - 1);
    assert_int_equal(replies(f, AGENT, 0), TARGETS * HOURS - 31 * 12);
    assert_int_equal(replies(f, AGENT, 7), HOURS - 12);
    assert_one(f, MESHPING_DAMAGE_ROLLUPS, START + PERIOD, START + 2 * PERIOD - 1);
    assert_int_equal(in_points(f, 7, 40), HOURS - 12);
    assert_one(f, MESHPING_DAMAGE_ROLLUPS, START + PERIOD, START + 2 * PERIOD - 1);
    assert_int_equal(in_points(f, 7, 3000), HOURS); /* these come of the samples */
    assert_int_equal(worst_pairs(f), 2 * TARGETS);
    assert_int_equal(told(f, &damaged), 1);
    assert_int_equal(in_points(f, 35, 40), HOURS); /* another row's */
    assert_int_equal(told(f, &damaged), 0);
    assert_int_equal(replies(f, OTHER, 7), HOURS);
    assert_int_equal(told(f, &damaged), 0);
}

static void test_a_damaged_block_of_the_journal_is_told(void **state)
{
    fixture *f = *state;
    const meshping_damage *damaged;
    fill(f);
    run(f, "UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE agent_id = (SELECT min(agent_id) FROM blocks)");
    assert_int_equal(replies(f, 0, 0), 2 * TARGETS * HOURS - TARGETS);
    assert_one(f, MESHPING_DAMAGE_BLOCK, START + (HOURS - 1) * HOUR, ALL - HOUR / ROUNDS);
    assert_int_equal(in_points(f, 7, 40), HOURS - 1);
    assert_int_equal(told(f, &damaged), 1);
    assert_int_equal(in_points(f, 7, 3000), HOURS - 1);
    assert_int_equal(told(f, &damaged), 1);
    assert_int_equal(worst_pairs(f), 2 * TARGETS);
    assert_int_equal(told(f, &damaged), 1);
    assert_int_equal(last_pairs(f), 2 * TARGETS); /* of one an hour older */
    assert_int_equal(told(f, &damaged), 1);
}

/* Overwrites the start of the database page that holds byte `offset` of a row's content. */
static void spoil(fixture *f, const char *text, size_t offset)
{
    enum { MARK = 24 };
    sqlite3_stmt *statement;
    uint8_t mark[MARK], page[1024];
    int64_t page_bytes = 0, found = -1;
    assert_int_equal(meshping__sql_query(&f->store->sql, &statement, NULL, text, ""), MESHPING_OK);
    assert_int_equal(meshping__sql_step(&f->store->sql, statement, NULL), MESHPING_OK);
    assert_true((size_t)sqlite3_column_bytes(statement, 0) > offset + MARK);
    memcpy(mark, (const uint8_t *)sqlite3_column_blob(statement, 0) + offset, MARK);
    sqlite3_reset(statement);
    assert_int_equal(meshping__sql_number(&f->store->sql, "PRAGMA page_size", &page_bytes, NULL), MESHPING_OK);
    assert_true((size_t)page_bytes <= sizeof page);
    meshping_store_close(f->store); /* the write-ahead log goes into the file */
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (int64_t at = 0; found < 0 && pread(fd, page, (size_t)page_bytes, at) == page_bytes; at += page_bytes)
        if (memmem(page, (size_t)page_bytes, mark, MARK))
            found = at;
    assert_true(found > 0);
    memset(page, 0xff, 16);
    assert_int_equal(pwrite(fd, page, 16, found), 16);
    close(fd);
    f->store = fixture_open(f);
}

static void test_a_damaged_page_costs_the_rows_on_it(void **state)
{
    fixture *f = *state;
    const meshping_damage *damaged;
    fill(f);
    run(f, "VACUUM"); /* no second copy lies about */
    /* one of the pages behind the row's own: nothing else is on it */
    spoil(f, "SELECT bytes FROM rollups WHERE target_group = 0 ORDER BY agent_id, period LIMIT 1", 2200);
    assert_int_equal(replies(f, 0, 0), 2 * TARGETS * HOURS - 31 * 12);
    assert_one(f, MESHPING_DAMAGE_ROLLUPS, START, START + PERIOD - 1);
    assert_int_equal(replies(f, OTHER, 0), TARGETS * HOURS);
    assert_int_equal(told(f, &damaged), 0);
    assert_int_equal(in_points(f, 7, 40), HOURS - 12);
    assert_one(f, MESHPING_DAMAGE_ROLLUPS, START, START + PERIOD - 1);
    assert_int_equal(worst_pairs(f), 2 * TARGETS);
    spoil(f, "SELECT bytes FROM sealed ORDER BY agent_id, first_us LIMIT 1", 1500);
    assert_int_equal(in_points(f, 7, 3000), HOURS - 12 + 11); /* neither the first hour's samples nor its roll-up */
    assert_int_equal(told(f, &damaged), 2);
    assert_int_equal(last_pairs(f), 2 * TARGETS);
    assert_int_equal(told(f, &damaged), 1);
}

/* ---- every page in turn ---- */

typedef struct page {
    int64_t number;
    bool is_table, is_index; /* that samples and their sums are in; one of an index holds many places of rows */
    bool is_overflow;        /* holds one row's bytes and nothing else */
    char owner[40];
} page;

static const char *read_page(sqlite3_stmt *row, void *item)
{
    static const char *const tables[] = {"blocks", "sealed", "rollups", "epochs"};
    page *p = item;
    *p = (page){.number = sqlite3_column_int64(row, 0)};
    meshping__sql_text(row, 1, p->owner, sizeof p->owner);
    p->is_overflow = strcmp((const char *)sqlite3_column_text(row, 2), "overflow") == 0;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        p->is_table = p->is_table || strcmp(p->owner, tables[i]) == 0;
        p->is_index = p->is_index || (strcmp(p->owner, tables[i]) != 0 && strstr(p->owner, tables[i]));
    }
    return NULL;
}

typedef struct visits {
    size_t whole, damaged;
} visits;

static meshping_status count_visit(void *user, const meshping_stored_block *block)
{
    visits *v = user;
    assert_true(block->agent_id == AGENT && block->received_unix_us > START &&
                block->first_unix_us <= block->last_unix_us && block->last_unix_us < ALL);
    assert_int_equal(block->length > 0, block->bytes != NULL);
    v->whole += block->length > 0;
    v->damaged += block->length == 0;
    return MESHPING_OK;
}

static void assert_ok_or_damaged(meshping_status status, const page *p)
{
    if (status != MESHPING_OK && status != MESHPING_CORRUPT)
        fail_msg("page %lld of %s: %s", (long long)p->number, p->owner, meshping_status_text(status));
}

/* A file with one damaged page, opened: *v counts what of the agent's blocks was visited. */
static void ask_all(const fixture *f, const page *p, visits *v)
{
    static meshping_rollup sum;
    const meshping_pair all = {0, 0};
    meshping_pair_sample *last = NULL;
    meshping_series series;
    size_t count;
    int64_t from_us = START, to_us = ALL;
    assert_ok_or_damaged(meshping_store_group(f->store, &all, 1, &from_us, &to_us, &sum, NULL), p);
    assert_ok_or_damaged(meshping_store_last(f->store, 0, 0, &last, &count, NULL), p);
    meshping_free(last);
    assert_ok_or_damaged(meshping_store_series(f->store, AGENT, 7, START, ALL, &series, NULL), p);
    meshping_series_dispose(&series);
    *v = (visits){0};
    meshping_status status = meshping_store_visit_blocks(f->store, AGENT, START, INT64_MAX, count_visit, v, NULL);
    if (p->is_index)
        assert_ok_or_damaged(status, p);
    else
        assert_int_equal(status, MESHPING_OK);
}

static void test_whatever_page_of_samples_is_damaged_the_rest_is_served(void **state)
{
    fixture *f = *state;
    const page whole = {0};
    visits v, all;
    page *pages;
    size_t count, tried = 0, with_damage = 0;
    int64_t page_bytes;
    sqlite3_stmt *statement;
    uint8_t was[16], bad[16];
    fill(f);
    run(f, "VACUUM");
    ask_all(f, &whole, &all);
    assert_true(all.whole > 2 && all.damaged == 0);
    meshping_status status =
        meshping__sql_query(&f->store->sql, &statement, NULL, "SELECT pageno, name, pagetype FROM dbstat", "");
    assert_int_equal(
        meshping__sql_rows(&f->store->sql, status, statement, read_page, sizeof *pages, (void **)&pages, &count, NULL),
        MESHPING_OK);
    assert_int_equal(meshping__sql_number(&f->store->sql, "PRAGMA page_size", &page_bytes, NULL), MESHPING_OK);
    meshping_store_close(f->store);
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    memset(bad, 0xff, sizeof bad);
    for (size_t i = 0; i < count; i++) {
        int64_t at = (pages[i].number - 1) * page_bytes;
        if ((!pages[i].is_table && !pages[i].is_index) || (pages[i].is_overflow && i % 5))
            continue;
        assert_int_equal(pread(fd, was, sizeof was, at), sizeof was);
        assert_int_equal(pwrite(fd, bad, sizeof bad, at), sizeof bad);
        f->store = fixture_open(f);
        ask_all(f, &pages[i], &v);
        if (pages[i].is_table)
            assert_int_equal(v.whole + v.damaged, all.whole);
        with_damage += v.damaged > 0;
        meshping_store_close(f->store);
        assert_int_equal(pwrite(fd, was, sizeof was, at), sizeof was);
        tried++;
    }
    close(fd);
    f->store = fixture_open(f);
    meshping_free(pages);
    assert_true(tried > 50 && with_damage > 10);
    ask_all(f, &whole, &v);
    assert_int_equal(v.whole, all.whole);
}

static void test_blocks_are_stored_again_once_their_last_page_is_whole(void **state)
{
    fixture *f = *state;
    sqlite3_stmt *statement;
    uint8_t was[16], bad[16];
    int64_t number, page_bytes;
    outcome o;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        store_block(f->store, sequence);
    assert_int_equal(meshping__sql_query(&f->store->sql, &statement, NULL,
                                         "SELECT max(pageno) FROM dbstat WHERE name = 'blocks'", ""),
                     MESHPING_OK);
    assert_int_equal(meshping__sql_step(&f->store->sql, statement, NULL), MESHPING_OK);
    number = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    assert_int_equal(meshping__sql_number(&f->store->sql, "PRAGMA page_size", &page_bytes, NULL), MESHPING_OK);
    meshping_store_close(f->store);
    int fd = open(f->path, O_RDWR | O_CLOEXEC);
    memset(bad, 0xff, sizeof bad);
    assert_int_equal(pread(fd, was, sizeof was, (number - 1) * page_bytes), sizeof was);
    assert_int_equal(pwrite(fd, bad, sizeof bad, (number - 1) * page_bytes), sizeof bad);
    f->store = fixture_open(f);
    o = store_block(f->store, 4);
    assert_true(o.status == MESHPING_CORRUPT && !o.stored);
    meshping_store_close(f->store);
    assert_int_equal(pwrite(fd, was, sizeof was, (number - 1) * page_bytes), sizeof was);
    close(fd);
    f->store = fixture_open(f);
    o = store_block(f->store, 4);
    assert_true(o.status == MESHPING_OK && o.stored);
    assert_int_equal(sample_count(f->store, 1), 8);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_damaged_row_of_roll_ups_costs_its_hours),
        T(test_a_damaged_block_of_the_journal_is_told),
        T(test_a_damaged_page_costs_the_rows_on_it),
        T(test_whatever_page_of_samples_is_damaged_the_rest_is_served),
        T(test_blocks_are_stored_again_once_their_last_page_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
