/* SPDX-License-Identifier: Apache-2.0 */
/* A request's body, from bytes to a list of targets. */
#include "meshpingd/json_body.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_object *json;
    meshping_error err = {0};
    meshping_target defaults;
    meshping_target_init(&defaults);
    if (json_body_parse(&json, (const char *)data, size, &err) != MESHPING_OK) {
        if (err.message[0] == 0)
            abort(); /* an error without a reason */
        return 0;
    }
    for (int strings_only = 0; strings_only < 2; strings_only++) {
        meshping_target_list list;
        size_t index;
        if (targets_json_parse(&list, &index, json, strings_only, &defaults, 50, &err) == MESHPING_OK) {
            if (meshping_target_list_check(&list, NULL) != MESHPING_OK)
                abort();
        } else if (list.items || list.count || err.message[0] == 0) {
            abort();
        }
        meshping_target_list_dispose(&list);
    }
    json_object_put(json);
    return 0;
}
