# SPDX-License-Identifier: Apache-2.0
# Sourced: list our own files, as they are in the tree (a tarball has no git to ask).
# ours PATTERN...: paths from the top whose name matches one of the patterns
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
ours() {
    local names=() pattern
    for pattern in "$@"; do
        names+=(-o -name "$pattern")
    done
    find . \( -name build -o -name .git -o -name node_modules -o -name dist \) -prune -o -type f \( "${names[@]:1}" \) \
        -printf '%P\n' | sort
}
