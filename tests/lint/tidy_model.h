/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For clang-tidy only: it looks at one file at a time, and would not know that meshping_error_set returns the status it
 * was given; so it would follow paths on which a failure counts as success.
 */
#include <meshping/common.h>
#define meshping_error_set(err, status, ...) ((void)meshping_error_set(err, status, __VA_ARGS__), (status))
#define meshping_error_set_errno(err, status, ...) ((void)meshping_error_set_errno(err, status, __VA_ARGS__), (status))
