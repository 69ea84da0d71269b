#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy (.clang-tidy) over every C file that the build in $1 compiles. usage: tidy.sh BUILD-DIRECTORY
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
top=$PWD
[ -f "$build/compile_commands.json" ] || { echo "no compile_commands.json in $build: use the preset dev"; exit 1; }
# Generated sources (SWIG, the embedded page) are not ours to mend.
mapfile -t files < <(/usr/bin/python3 - "$build" "$top" <<'END'
import json, os, sys
build, top = sys.argv[1:]
entries = json.load(open(os.path.join(build, "compile_commands.json")))
names = {os.path.realpath(os.path.join(e["directory"], e["file"])) for e in entries}
print("\n".join(sorted(n for n in names if n.startswith(top + "/") and not n.startswith(build + "/"))))
END
)
[ ${#files[@]} -ge 5 ] || { echo "only ${#files[@]} files in compile_commands.json"; exit 1; }
# Debian 12's gcc flags that clang does not know are none of our business here.
printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" \
    --extra-arg=-Wno-unknown-warning-option 2>/dev/null
