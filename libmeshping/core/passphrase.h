/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_CORE_PASSPHRASE_H
#define MESHPING_CORE_PASSPHRASE_H

#include <meshping/protocol.h>

/* The bytes under the text of a passphrase; false when they are none, for whatever reason. */
bool meshping__passphrase_open(meshping_passphrase *out, const uint8_t *raw, size_t length);

#endif
