"""Outside programs: the one place that starts and waits for them. Always a list, never a shell string."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE

from edgecompress.core.errors import MissingToolError, ToolFailedError

logger = logging.getLogger(__name__)

DEBIAN_PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-g++": "gcc-arm-none-eabi",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
    "x86_64-linux-gnu-gcc": "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
    "gcc": "gcc libc6-dev",
    "cc": "gcc libc6-dev",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "qemu-x86_64": "qemu-user",
    "sshd": "openssh-server",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
    "apt-get": "apt",
}
LAST_LINES = 12
VERSION_TIMEOUT_S = 30.0


def locate(program: str) -> Path:
    """Find a program on PATH. Raises MissingToolError whose hint names the Debian package that brings it."""
    found = shutil.which(program)
    if found is None and "/" in program:
        raise MissingToolError(f"{program} is not there, or is not a program", hint="build it again")
    if found is None:
        raise MissingToolError(
            f"{program} is not installed or not on PATH",
            hint=f"on Debian or Ubuntu: sudo apt-get install {debian_packages(program)}",
        )
    return Path(found).absolute()


class Running:
    """Programs that several threads wait for, so that all can be ended when their work is given up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._is_over = False

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Note a program that was started; it is ended at once when the work was given up meanwhile."""
        with self._lock:
            self._processes.add(process)
            if self._is_over:
                _end_group(process)

    def remove(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a program that has ended."""
        with self._lock:
            self._processes.discard(process)

    def end(self) -> None:
        """End every program that runs, and every later one as soon as it is started."""
        with self._lock:
            self._is_over = True
            for process in self._processes:
                _end_group(process)


def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    stdin: bytes | None = None,
    folder: Path | None = None,
    among: Running | None = None,
) -> bytes:
    """Run a program to its end and return its stdout.

    Whatever interrupts the wait (the time limit, Ctrl-C, `among.end()`) ends the program and all that it started.
    Raises MissingToolError when it is not installed, and ToolFailedError with the command, its exit code and its last
    lines when it fails or passes its time limit.
    """
    words = [str(locate(str(command[0]))), *(str(word) for word in command[1:])]
    hint = "the command was: " + " ".join(words)
    logger.debug("run %s", words)
    try:
        process = subprocess.Popen(words, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=folder, process_group=0)
    except OSError as error:
        raise ToolFailedError(f"{command[0]} cannot be started: {error.strerror}", hint=hint) from error
    among = among or Running()
    with process:
        try:
            among.add(process)
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ToolFailedError(f"{command[0]} did not end within {timeout_s:g} s", hint=hint) from error
        finally:
            among.remove(process)
            _end_group(process)
    if process.returncode != 0:
        lines = (stderr or stdout).decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        raise ToolFailedError("\n".join([f"{command[0]} {_ending(process.returncode)}:", *lines]), hint=hint)
    return stdout


def version(program: str) -> str:
    """Return the first line that `program --version` prints."""
    lines = run([program, "--version"], timeout_s=VERSION_TIMEOUT_S).decode(errors="replace").splitlines()
    return lines[0].strip() if lines else "unknown version"


def debian_packages(program: str) -> str:
    """Name the Debian packages that bring a program."""
    if program.startswith("arm-none-eabi-") and program not in DEBIAN_PACKAGES:
        return "binutils-arm-none-eabi"
    return DEBIAN_PACKAGES.get(program, program)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs together with what it started, which would keep our pipes open."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _ending(returncode: int) -> str:
    if returncode >= 0:
        return f"failed with exit code {returncode}"
    return f"was ended by {signal.Signals(-returncode).name}"
