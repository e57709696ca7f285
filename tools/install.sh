#!/bin/sh
# Bring everything that `make demo` or `make test` needs: Debian packages, .venv, Python packages.
#
#   tools/install.sh demo|test
set -eu

purpose=$1
cd "$(dirname "$0")/.."

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    found=missing
    command -v python3 >/dev/null 2>&1 && found=$(python3 --version)
    echo "edgecompress needs Python 3.11 or newer; python3 here: $found." >&2
    echo "On Debian 12, Ubuntu 24.04 or newer: sudo apt-get install python3 python3-venv" >&2
    exit 1
}

python=$(find_python)
tools/system_packages.sh "$purpose" "$python"

is_new_enough .venv/bin/python || "$python" -m venv --clear .venv

case $purpose in
    demo) what=. ;;
    test) what=.[test] ;;
esac
echo "Installing the Python packages (about 200 MB to download) ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable "$what"
# The emulator of the RP2040: node is one of the Python packages.
if [ "$purpose" = test ]; then
    .venv/bin/npm install --silent --no-audit --no-fund --no-save --prefix .venv/rp2040 rp2040js@1.4.1
fi
touch ".venv/installed-$purpose"
