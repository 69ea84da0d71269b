/* SPDX-License-Identifier: Apache-2.0 */
/* meshping_prober_new: the engine of core/ on real sockets. */
#include "core/prober.h"
#include "core/siphash.h"
#include "platform/icmp_socket.h"
#include "platform/transport.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* The key of the cookies and the identifier: random, or all from the seed. */
static meshping_status make_key(uint8_t key[16], uint16_t *identifier, uint64_t seed, meshping_error *err)
{
    uint8_t bytes[18];
    if (seed) {
        for (uint8_t i = 0; i < (uint8_t)sizeof bytes; i++) {
            uint8_t base[16] = {0};
            memcpy(base, &seed, sizeof seed);
            bytes[i] = (uint8_t)meshping__siphash(base, &i, 1);
        }
    } else if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot get random bytes");
    }
    memcpy(key, bytes, 16);
    *identifier = (uint16_t)((bytes[16] << 8 | bytes[17]) & (0xffff << MESHPING__ICMP_IDENTIFIER_BITS));
    return MESHPING_OK;
}

meshping_status meshping_prober_new(meshping_prober **out, const meshping_prober_options *options, meshping_error *err)
{
    meshping__transport *transport = NULL;
    uint16_t identifier = 0;
    uint8_t key[16] = {0};

    meshping_status status = make_key(key, &identifier, options->seed, err);
    if (status == MESHPING_OK)
        status = meshping__transport_new(&transport, identifier, err);
    if (status == MESHPING_OK)
        status = meshping__prober_new(out, options, transport, key, err);
    return status;
}
