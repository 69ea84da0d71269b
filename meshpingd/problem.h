/* SPDX-License-Identifier: Apache-2.0 */
/* Errors for machines and people: RFC 9457 problem JSON. */
#ifndef MESHPINGD_PROBLEM_H
#define MESHPINGD_PROBLEM_H

#include <json-c/json.h>
#include <meshping/common.h>

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* "Bad Request"; "Error" for a status that this server does not send. Static storage. */
const char *problem_title(int http_status);
/* {"type":"about:blank","title":...,"status":...,"detail":...}; NULL without memory. Bytes that are not UTF-8 become
 * '?'. */
json_object *problem_json(int http_status, const char *detail);
/* What a library error is to a client. */
int problem_http_status(meshping_status status);

#endif
