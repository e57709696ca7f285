#!/bin/sh
# Everything but pytest that must hold before a merge. Stops at the first gate that does not.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"

gate() {
    echo "== $*"
    "$@"
}

gate ruff check
gate ruff format --check
gate mypy
gate lint-imports
gate clang-format --dry-run -Werror $(git ls-files 'device_runtime/*.[ch]' 'tests/runtime/*.[ch]')
gate make -C device_runtime test check
