#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a script of this folder in a network namespace of its own, so that nothing leaves the machine and targets can be
# made silent. usage: MESHPING_BIN=DIR MESHPING_BROWSER_MODULES=DIR run.sh NODE-ARGUMENTS...
set -euo pipefail
browser=${MESHPING_CHROMIUM:-/usr/bin/chromium}
[ -x "$browser" ] || { echo "no browser at $browser: apt-get install chromium, or set MESHPING_CHROMIUM" >&2; exit 1; }
map=()
[ "$(id -u)" = 0 ] || map=(--map-root-user)
# 198.18.0.0/24 leads to an interface that swallows everything; what a test adds to lo answers.
# shellcheck disable=SC2016
exec unshare --net "${map[@]}" -- bash -euc '
    ip link set lo up
    ip link add silent type veth peer name nobody
    ip link set silent arp off up
    ip link set nobody up
    ip addr add 198.18.0.254/24 dev silent
    exec "$@"' run "${NODE:-node}" "$@"
