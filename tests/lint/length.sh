#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A file has one reason to change: none is longer than 600 lines, and each source says its licence.
set -euo pipefail
. "$(dirname "$0")/files.sh"
limit=600 bad=0
while read -r file; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt $limit ]; then
        echo "$file: $lines lines, over $limit: split it"
        bad=1
    fi
    if ! head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
        echo "$file: no SPDX-License-Identifier in its first 3 lines"
        bad=1
    fi
done < <(ours '*.c' '*.h' '*.i' '*.py' '*.sh' '*.ts' '*.tsx' '*.cmake' CMakeLists.txt)
exit $bad
