/* SPDX-License-Identifier: Apache-2.0 */
/* When targets were paused, as saved lists tell. */
#include "store_fixture.h"

#include <unistd.h>

/* "from-to reason;" in order, with times that are not this test's to know as "now" */
static const char *pauses_of(fixture *f, uint64_t id)
{
    static char text[256];
    size_t count = 0, used = 0;
    meshping_target_pause *pauses = NULL;
    assert_int_equal(meshping_store_target_pauses(f->store, id, 0, INT64_MAX, &pauses, &count, NULL), MESHPING_OK);
    text[0] = 0;
    for (size_t i = 0; i < count; i++) {
        bool by_plan = pauses[i].to_ms == MESHPING_PAUSE_UNTIL_MS_MAX;
        assert_true(pauses[i].from_ms > 0 && (i == 0 || pauses[i].from_ms >= pauses[i - 1].to_ms));
        used += (size_t)snprintf(text + used, sizeof text - used, "now-%s %s;",
                                 by_plan           ? "end"
                                 : pauses[i].to_ms ? "now"
                                                   : "",
                                 pauses[i].reason);
    }
    meshping_free(pauses);
    return text;
}

static void save_paused(fixture *f, const char *reason, int64_t until_ms)
{
    meshping_target_list list = {0};
    meshping_target target;
    meshping_target_init(&target);
    strcpy(target.host, "192.0.2.1");
    strcpy(target.pause_reason, reason);
    target.paused_until_ms = until_ms;
    assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    assert_true(list.items[0].id == 1);
    meshping_target_list_dispose(&list);
    usleep(2000); /* another millisecond */
}

static void test_pauses_are_noted_when_they_begin_and_end(void **state)
{
    fixture *f = *state;
    meshping_target_list none = {0};
    save_paused(f, "", 0);
    assert_string_equal(pauses_of(f, 1), "");
    save_paused(f, "moving", 0);
    save_paused(f, "moving", 0);
    assert_string_equal(pauses_of(f, 1), "now- moving;");
    save_paused(f, "", 0);
    assert_string_equal(pauses_of(f, 1), "now-now moving;");
    save_paused(f, "again", MESHPING_PAUSE_UNTIL_MS_MAX);
    fixture_reopen(f);
    assert_string_equal(pauses_of(f, 1), "now-now moving;now-end again;");
    save_paused(f, "longer", 0);
    assert_string_equal(pauses_of(f, 1), "now-now moving;now-now again;now- longer;");
    assert_int_equal(meshping_store_targets_save(f->store, &none, NULL), MESHPING_OK);
    assert_string_equal(pauses_of(f, 1), "now-now moving;now-now again;now-now longer;");
    assert_string_equal(pauses_of(f, 2), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pauses_are_noted_when_they_begin_and_end, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
