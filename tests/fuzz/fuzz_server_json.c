/* SPDX-License-Identifier: Apache-2.0 */
/* "METHOD PATH\n" and a JSON body: what a signed-in administrator sends to the routes that change something. */
#include "server.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const methods[] = {"POST /", "PUT /", "PATCH /", "DELETE /"};
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-";
    char head[600];
    const uint8_t *end = memchr(data, '\n', size);
    size_t line = end ? (size_t)(end - data) : 0, known = 0;
    while (known < 4 && (line < strlen(methods[known]) || memcmp(data, methods[known], strlen(methods[known])) != 0))
        known++;
    if (known == 4 || line > 200)
        return 0;
    for (size_t i = strlen(methods[known]); i < line; i++)
        if (!memchr(plain, data[i], sizeof plain - 1))
            return 0; /* fuzz_server_request's: libwebsockets may not even answer */
    size_t body = size - line - 1;
    int length = snprintf(head, sizeof head,
                          "%.*s HTTP/1.1\r\nHost: h\r\nCookie: " FUZZ_COOKIE "\r\nX-CSRF-Token: " FUZZ_CSRF
                          "\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                          (int)line, (const char *)data, body);
    uint8_t *request = malloc((size_t)length + body);
    if (!request)
        return 0;
    memcpy(request, head, (size_t)length);
    memcpy(request + length, end + 1, body);
    server_ask(request, (size_t)length + body, 1);
    free(request);
    return 0;
}
