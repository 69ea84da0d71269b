/* SPDX-License-Identifier: Apache-2.0 */
/* The probe engine over any transport; meshping_prober_new (platform/) gives it the real one. */
#ifndef MESHPING_CORE_PROBER_H
#define MESHPING_CORE_PROBER_H

#include "core/transport.h"
#include <meshping/probe.h>

/* Takes the transport over, also when it fails. `key` is 16 random bytes. INVALID (no callback), NOMEM. */
meshping_status meshping__prober_new(meshping_prober **out, const meshping_prober_options *options,
                                     meshping__transport *transport, const uint8_t key[16], meshping_error *err);

#endif
