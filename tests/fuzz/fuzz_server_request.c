/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a client sends: the head with its headers and query, the body, and what comes after it. */
#include "server.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    server_ask(data, size, 0);
    return 0;
}
