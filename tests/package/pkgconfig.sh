#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs library and headers into a fresh prefix, builds examples/ping_once.c against it through pkg-config alone, as
# a stranger would, and pings loopback with it. usage: pkgconfig.sh BUILD-DIRECTORY
set -euo pipefail
build=$(cd "$1" && pwd)
top=$(cd "$(dirname "$0")/../.." && pwd)
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

for component in lib dev; do
    cmake --install "$build" --prefix "$prefix" --component $component >/dev/null
done
cd "$prefix"
PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name libmeshping.pc)")
export PKG_CONFIG_PATH
libdir=$(pkg-config --variable=libdir libmeshping)

# Nothing may point back into the tree or into the prefix it was configured for.
flags=$(pkg-config --cflags --libs libmeshping)
case $flags in
*"$top"*) echo "pkg-config points into the source tree: $flags"; exit 1 ;;
*"$(realpath "$prefix")"/*) ;;
*) echo "pkg-config does not point into $prefix: $flags"; exit 1 ;;
esac
cp "$top/examples/ping_once.c" .
# shellcheck disable=SC2086
cc -std=gnu11 -Wall -Wextra -Werror ping_once.c $flags -o ping_once
LD_LIBRARY_PATH=$libdir ldd ./ping_once | grep -q "libmeshping.so.0 => $libdir/" ||
    { echo "ping_once does not use the installed libmeshping.so.0"; exit 1; }

# Every public header compiles alone, as C and as C++.
for header in "$prefix"/include/meshping/*.h; do
    # shellcheck disable=SC2046
    cc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags libmeshping) -x c "$header"
    # shellcheck disable=SC2046
    c++ -std=c++11 -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags libmeshping) -x c++ "$header"
done

# The library shows its public names and nothing else.
private=$(nm -D --defined-only "$libdir"/libmeshping.so.0 | awk '$3 !~ /^meshping_[a-z]|^MESHPING_0/ { print $3 }')
[ -z "$private" ] || { echo "private names are exported: $private"; exit 1; }

status=0
output=$(LD_LIBRARY_PATH=$libdir ./ping_once 127.0.0.1 2>&1) || status=$?
echo "$output"
if [ $status = 2 ] && [ "$(id -u)" != 0 ]; then
    echo "no right to ping here: the build is tested, the ping is not"
    exit 77
fi
grep -Eq '^127\.0\.0\.1 \(127\.0\.0\.1\): ok in [0-9]+ us$' <<<"$output"
[ $status = 0 ]
