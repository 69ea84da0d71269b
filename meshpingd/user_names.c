/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/user_names.h"

#include "meshpingd/looks.h"
#include <string.h>

meshping_status user_name_free(meshping_store *store, const char *name, uint64_t id, meshping_error *err)
{
    meshping_user_record *records = NULL;
    size_t count = 0;
    meshping_status status = meshping_store_users(store, &records, &count, err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++)
        if (records[i].id != id && looks_compare(records[i].name, name) == 0)
            status = meshping_error_set(err, MESHPING_EXISTS,
                                        strcmp(records[i].name, name) == 0
                                            ? "there is a user %s already"
                                            : "there is a user %s already, and the name looks like his",
                                        records[i].name);
    meshping_free(records);
    return status;
}
