#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every shell script passes shellcheck; a shell script is known by its first line.
set -euo pipefail
. "$(dirname "$0")/files.sh"
mapfile -t scripts < <(find scripts .ci packaging tests examples bindings -name node_modules -prune -o -type f -print0 |
    xargs -0 grep -lE -m1 '^#!/bin/(ba)?sh' | sort)
[ ${#scripts[@]} -ge 5 ] || { echo "found only ${#scripts[@]} shell scripts: is this the source tree?"; exit 1; }
shellcheck -x --source-path=SCRIPTDIR -e SC1091,SC2016,SC2317 "${scripts[@]}"
