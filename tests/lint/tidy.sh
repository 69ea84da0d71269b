#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy (.clang-tidy) over every C file that the build in $1 compiles, but for tests. usage: tidy.sh BUILD-DIRECTORY
set -euo pipefail
build=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
top=$PWD
[ -f "$build/compile_commands.json" ] || { echo "no compile_commands.json in $build: use the preset dev"; exit 1; }
# Generated sources (SWIG, the embedded page) are not ours to mend; tests have the compiler and the sanitizers.
mapfile -t files < <(/usr/bin/python3 - "$build" "$top" <<'END'
import json, os, sys
build, top = sys.argv[1:]
entries = json.load(open(os.path.join(build, "compile_commands.json")))
names = {os.path.realpath(os.path.join(e["directory"], e["file"])) for e in entries}
ours = (n for n in names if n.startswith(top + "/") and not n.startswith((build + "/", top + "/tests/")))
print("\n".join(sorted(ours)))
END
)
[ ${#files[@]} -ge 5 ] || { echo "only ${#files[@]} files in compile_commands.json"; exit 1; }
# The model would break the very file that defines those functions.
check() {
    xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" --extra-arg=-Wno-unknown-warning-option "$@" 2>/dev/null
}
printf '%s\0' "${files[@]}" | grep -zv '/base/error\.c$' |
    check --extra-arg=-include --extra-arg="$top/tests/lint/tidy_model.h"
printf '%s\0' "${files[@]}" | grep -z '/base/error\.c$' | check
