#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every public header compiles alone, twice in one file, in strict C11 and C++17, and warns of nothing.
# usage: check_headers.sh INCLUDE-DIRECTORY [C-COMPILER [C++-COMPILER]]
set -euo pipefail
include=$1 cc=${2:-cc} cxx=${3:-c++}
shopt -s nullglob
headers=("$include"/meshping/*.h)
[ ${#headers[@]} -ge 10 ] || { echo "only ${#headers[@]} headers in $include/meshping"; exit 1; }
command -v "$cxx" >/dev/null || { echo "no C++ compiler $cxx: install g++"; exit 1; }
bad=0
for header in "${headers[@]}"; do
    name=meshping/${header##*/}
    text="#include <$name>"$'\n'"#include <$name>"
    "$cc" -std=c11 -pedantic -Wall -Wextra -Werror -I"$include" -fsyntax-only -xc - <<<"$text" ||
        { echo "$name does not stand alone in C11"; bad=1; }
    "$cxx" -std=c++17 -pedantic -Wall -Wextra -Werror -I"$include" -fsyntax-only -xc++ - <<<"$text" ||
        { echo "$name does not stand alone in C++17"; bad=1; }
    grep -q 'extern "C"' "$header" || { echo "$name has no extern \"C\""; bad=1; }
done
echo "${#headers[@]} headers"
exit $bad
