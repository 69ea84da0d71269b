# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it (bash). Sets `root`, the top of the source tree.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Tools with a language of their own (pyenv's python3, a user's clang) must not slip in: the bindings and tests use
# Debian's /usr/bin/python3 and its packages.
python=/usr/bin/python3

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: run it as root, or install sudo ($*)"
    fi
}

# configure PRESET: CMake, only when the build tree is new (a build re-runs it when CMake files change)
configure() {
    local preset=$1
    shift
    if [ $# -gt 0 ] || [ ! -f "$root/build/$preset/build.ninja" ]; then
        (cd "$root" && cmake --preset "$preset" "$@")
    fi
}

build_preset() {
    configure "$1"
    cmake --build "$root/build/$1"
}
