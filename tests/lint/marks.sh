#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No file keeps the marks of a merge, and every JSON file is one.
set -euo pipefail
. "$(dirname "$0")/files.sh"
bad=0
while read -r file; do
    if grep -nIE '^(<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)( |$)' "$file"; then
        echo "$file: marks of a merge"
        bad=1
    fi
done < <(ours '*.[chi]' '*.py' '*.sh' '*.ts' '*.tsx' '*.mjs' '*.json' '*.md' '*.cmake' '*.txt')
while read -r file; do
    jq empty "$file" || bad=1
done < <(ours '*.json')
exit $bad
