#!/bin/sh
# Install the Debian packages that are missing, or say exactly which they are and stop.
#
#   tools/system_packages.sh demo|test PYTHON
set -eu

purpose=$1
python=$2
missing=

need() {
    missing="$missing $1"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

compiles() {
    echo '#include <string.h>' | "$@" -x c -c -o /dev/null - >/dev/null 2>&1
}

find_missing() {
    has qemu-system-arm || need qemu-system-arm
    has arm-none-eabi-gcc || need gcc-arm-none-eabi
    compiles arm-none-eabi-gcc || need libnewlib-arm-none-eabi
    has gcc || need gcc
    compiles gcc || need libc6-dev
    has make || need make
    # Debian's python3 has venv but not ensurepip; it comes with a package of the same minor version.
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        need "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    if [ "$purpose" = test ]; then
        has git || need git
        # Exports for Arduino and PlatformIO come with an example in C++.
        has g++ || need g++
        has chromium || has chromium-browser || has google-chrome || need chromium
        # Programs for Linux devices; their headers come apart.
        compiles aarch64-linux-gnu-gcc || need "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
        compiles arm-linux-gnueabihf-gcc || need "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross"
        # The virtual boards loop:// and vm://. An ordinary user's PATH may lack sshd's folder.
        has qemu-aarch64 || need qemu-user
        has qemu-system-aarch64 || need qemu-system-arm
        has sshd || [ -x /usr/sbin/sshd ] || need openssh-server
        has ssh-keygen || need openssh-client
        has mmdebstrap || need mmdebstrap
        # A flashing tool whose counterpart, a boot ROM, can be played on a pty.
        has stm32flash || need stm32flash
    fi
}

root_prefix() {
    if [ "$(id -u)" = 0 ]; then
        echo env
    elif has sudo && sudo -n true 2>/dev/null; then
        echo sudo
    fi
}

find_missing
[ -n "$missing" ] || exit 0

as_root=$(root_prefix)
if [ -z "$as_root" ] || ! has apt-get; then
    echo "These Debian packages are missing. Install them, then run the same command again:" >&2
    echo "    sudo apt-get install --no-install-recommends$missing" >&2
    exit 1
fi

echo "Installing$missing ..."
$as_root apt-get update -qq
# Unquoted on purpose: one word a package.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends $missing >/dev/null
