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

# Configures anew each time (a second): parts of the tree may have come or gone.
build_preset() {
    (cd "$root" && cmake --preset "$1" --log-level=NOTICE) && cmake --build "$root/build/$1"
}
