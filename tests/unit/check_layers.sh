#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Includes point one way: daemons, bindings, examples -> public headers -> {platform, store, net} -> core -> base.
# A layer includes its own headers and those below; programs see <meshping/...> and their own directories only.
# usage: check_layers.sh SOURCE-DIRECTORY
set -euo pipefail
cd "$1"
bad=0 files=0

include='^(.*):([0-9]+):[[:space:]]*#[[:space:]]*include[[:space:]]*["<]([^">]*)[">]'
# check DIRECTORY ALLOWED: an include of a file of ours from a directory that does not match ALLOWED is an error.
check() {
    local directory=$1 allowed=$2 line place header
    files=$((files + $(find "$directory" -name node_modules -prune -o -name '*.[chi]' -print | wc -l)))
    while IFS= read -r line; do
        [[ $line =~ $include ]] || continue
        place=${BASH_REMATCH[1]}:${BASH_REMATCH[2]} header=${BASH_REMATCH[3]}
        if [[ $header != *../* ]]; then
            [[ $header =~ ^($allowed)/ ]] && continue
            [[ $header == */* && ( -e libmeshping/$header || -e $header ) ]] || continue # not ours, or beside it
        fi
        echo "$place: $directory may not include $header"
        bad=1
    done < <(grep -rnE --include='*.[chi]' --exclude-dir=node_modules '^[[:space:]]*#[[:space:]]*include' "$directory")
}

none='-'
check libmeshping/include "$none"
check libmeshping/base base
check libmeshping/core 'base|core'
check libmeshping/platform 'base|core|platform'
check libmeshping/store 'base|core|store'
check libmeshping/net 'base|core|net|platform'
check common common
check meshping-agent 'common|meshping-agent'
check meshpingd 'common|meshpingd'
if [ -d meshping-bench ]; then check meshping-bench 'common|meshping-bench'; fi
check bindings bindings
check examples "$none"

# The third-party libraries that belong to one layer each.
only() {
    local header=$1 allowed=$2 hits
    hits=$(grep -rnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*<$header" libmeshping --include='*.[ch]' |
        grep -vE "^libmeshping/($allowed)/" || true)
    [ -z "$hits" ] && return
    echo "$hits"
    echo "  <$header...> belongs to $allowed"
    bad=1
}
only 'sqlite3' store
only 'pthread' store
only 'libwebsockets' net
only 'uv\.h' net
only 'ares' platform
only 'sys/(epoll|eventfd|timerfd|capability)' 'platform|net|store'

[ $files -ge 30 ] || { echo "looked at $files files only: is $1 the source tree?"; exit 1; }
echo "$files files"
exit $bad
