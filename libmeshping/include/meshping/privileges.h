/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up what a process no longer needs once its sockets are open. */
#ifndef MESHPING_PRIVILEGES_H
#define MESHPING_PRIVILEGES_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Drops every capability (effective, permitted, inheritable, ambient, and the bounding set where allowed) and sets
 * no_new_privs, for good. The user id stays: files keep their owner's rights, root's right to pass over them is gone.
 * Linux does this a thread: call it before any other thread is started. IO: the kernel refused.
 */
MESHPING_API meshping_status meshping_privileges_drop(meshping_error *err);

#ifdef __cplusplus
}
#endif
#endif
