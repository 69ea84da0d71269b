/* SPDX-License-Identifier: Apache-2.0 */
/* Names of users, who must be told apart by them: in lists, in the audit log, and when rights are given. */
#ifndef MESHPINGD_USER_NAMES_H
#define MESHPINGD_USER_NAMES_H

#include <meshping/store.h>

/* OK, or EXISTS with whose name it is, or looks like; the user `id` (0: nobody) is passed over. */
meshping_status user_name_free(meshping_store *store, const char *name, uint64_t id, meshping_error *err);

#endif
