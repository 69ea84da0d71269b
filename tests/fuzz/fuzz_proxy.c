/* SPDX-License-Identifier: Apache-2.0 */
/* The first bytes of a connection that a trusted proxy passes on, as much of them as has come each time. */
#include <meshping/proxy.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static meshping_status take(meshping_proxy_header *out, const uint8_t *data, size_t length)
{
    meshping_error err = {0};
    uint8_t *exact = malloc(length ? length : 1);
    check(exact);
    memcpy(exact, data, length);
    meshping_status status = meshping_proxy_read(out, exact, length, &err);
    free(exact);
    check(status == MESHPING_OK || err.message[0]);
    check(out->length >= MESHPING_PROXY_HEAD_LEN && out->length <= MESHPING_PROXY_MAX);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    meshping_proxy_header whole, now;
    meshping_status status = take(&whole, data, size);
    /* as the listener does it: no more than asked for, until it is all there */
    size_t length = 0;
    for (;;) {
        meshping_status step = take(&now, data, length);
        if (step != MESHPING_OK) {
            check(status == step || length < size);
            return 0;
        }
        if (now.complete)
            break;
        check(now.length > length);
        if (now.length > size)
            return 0;
        length = now.length;
    }
    check(status == MESHPING_OK && whole.complete && whole.length == now.length && whole.own == now.own);
    check(whole.own == (whole.source.family == MESHPING_FAMILY_NONE));
    check(memcmp(&whole.source, &now.source, sizeof whole.source) == 0);
    return 0;
}
