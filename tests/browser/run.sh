#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a script of this folder in a network namespace of its own, so that nothing leaves the machine and targets can be
# made silent. usage: MESHPING_BIN=DIR MESHPING_BROWSER_MODULES=DIR run.sh NODE-ARGUMENTS...
set -euo pipefail
browser=${MESHPING_CHROMIUM:-/usr/bin/chromium}
[ -x "$browser" ] || { echo "no browser at $browser: apt-get install chromium, or set MESHPING_CHROMIUM" >&2; exit 1; }
map=()
[ "$(id -u)" = 0 ] || map=(--map-root-user)
# 198.18.0.0/24 leads to an interface that swallows everything; what a test adds to lo answers. The interfaces make no
# IPv6 address of their own: it would become valid a second later, and the browser drops its requests when one does
# (ERR_NETWORK_CHANGED).
# shellcheck disable=SC2016
exec unshare --net "${map[@]}" -- bash -euc '
    ip link set lo up
    ip link add silent type veth peer name nobody
    ip link set silent addrgenmode none arp off up
    ip link set nobody addrgenmode none up
    ip addr add 198.18.0.254/24 dev silent
    exec "$@"' run "${NODE:-node}" "$@"
