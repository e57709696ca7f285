#!/bin/sh
# Everything but pytest that must hold before a merge. Runs every gate, then names those that do not hold.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
failed=

gate() {
    echo "== $*"
    "$@" || failed="$failed
    $*"
}

gate ruff check
gate ruff format --check
gate mypy
gate lint-imports
# Unquoted on purpose: one word a file.
gate clang-format --dry-run -Werror $(git ls-files 'device_runtime/*.[ch]' 'tests/runtime/*.[ch]')
gate make -C device_runtime test check

[ -z "$failed" ] || { echo "These gates do not hold:$failed" >&2; exit 1; }
