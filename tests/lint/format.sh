#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every C file is as .clang-format has it. To mend: clang-format -i FILE.
set -euo pipefail
. "$(dirname "$0")/files.sh"
ours '*.c' '*.h' | xargs clang-format --dry-run -Werror
