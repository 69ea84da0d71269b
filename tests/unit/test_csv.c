/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of CSV: by csv_cells.json, which the page's test reads as well. */
#include "meshpingd/csv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

static char *put(const char *text)
{
    char *made = NULL;
    size_t length;
    FILE *file = open_memstream(&made, &length);
    assert_non_null(file);
    csv_put(file, text);
    assert_int_equal(fclose(file), 0);
    return made;
}

/* What a reader of CSV makes of one cell. */
static void unquote(char *text)
{
    size_t length = strlen(text), to = 0;
    if (*text != '"')
        return;
    assert_int_equal(text[length - 1], '"');
    for (size_t i = 1; i < length - 1; i++) {
        if (text[i] == '"')
            assert_int_equal(text[++i], '"');
        text[to++] = text[i];
    }
    text[to] = 0;
}

static void test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(void **state)
{
    (void)state;
    json_object *cells = json_object_from_file(MESHPING_SOURCE_DIR "/tests/unit/csv_cells.json");
    assert_non_null(cells);
    size_t count = json_object_array_length(cells);
    assert_true(count > 20);
    for (size_t i = 0; i < count; i++) {
        json_object *both = json_object_array_get_idx(cells, i);
        char *made = put(json_object_get_string(json_object_array_get_idx(both, 0)));
        unquote(made);
        assert_string_equal(made, json_object_get_string(json_object_array_get_idx(both, 1)));
        free(made);
    }
    json_object_put(cells);
}

static void test_cells_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    static const char *const cells[][2] = {{"a,b", "\"a,b\""},
                                           {"a \"b\"", "\"a \"\"b\"\"\""},
                                           {"a\nb", "\"a\nb\""},
                                           {"=\"x\"", "\"'=\"\"x\"\"\""},
                                           {"a;b", "a;b"}};
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char *made = put(cells[i][0]);
        assert_string_equal(made, cells[i][1]);
        free(made);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_spreadsheet_would_run_begins_with_an_apostrophe),
        cmocka_unit_test(test_cells_are_quoted_where_they_must_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
