#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# packages.sh NPM FOLDER: what the browser tests need, into FOLDER/node_modules; does nothing when it is there already.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
stamp=$2/node_modules/.package-lock.ours
! cmp -s "$here/package-lock.json" "$stamp" || exit 0
mkdir -p "$2"
cp "$here/package.json" "$here/package-lock.json" "$2"
cd "$2"
"$1" ci --no-audit --no-fund --loglevel=error
cp package-lock.json "$stamp"
