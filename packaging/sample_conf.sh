#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a packaged configuration file from the daemon's own table of keys: every key with its help and default, commented
# out, but for those given.   usage: sample_conf.sh OUTPUT UNIT KEY=VALUE... -- COMMAND...
set -eu
output=$1
unit=$2
shift 2
edit=
while [ "$1" != -- ]; do
    edit="$edit;s|^#${1%%=*} = .*|${1%%=*} = ${1#*=}|"
    shift
done
shift
{
    echo "# Configuration of $unit: every key with its default. After a change: systemctl restart $unit"
    echo
    "$@" | sed -e "$edit"
} >"$output.new"
mv "$output.new" "$output"
