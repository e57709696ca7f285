"""Outside programs: the one place that starts and waits for them. Always a list, never a shell string."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgecompress.core.errors import MissingToolError, ToolFailedError

logger = logging.getLogger(__name__)

DEBIAN_PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi libnewlib-arm-none-eabi",
    "arm-none-eabi-g++": "gcc-arm-none-eabi",
    "gcc": "gcc libc6-dev",
    "cc": "gcc libc6-dev",
    "qemu-system-arm": "qemu-system-arm",
}
LAST_LINES = 12


def locate(program: str) -> Path:
    """Find a program on PATH. Raises MissingToolError whose hint names the Debian package that brings it."""
    found = shutil.which(program)
    if found is None:
        package = DEBIAN_PACKAGES.get(program, program)
        raise MissingToolError(
            f"{program} is not installed or not on PATH", hint=f"on Debian or Ubuntu: sudo apt-get install {package}"
        )
    return Path(found)


def run(
    command: Sequence[str | Path], *, timeout_s: float, stdin: bytes | None = None, folder: Path | None = None
) -> bytes:
    """Run a program to its end and return its stdout.

    Raises MissingToolError when it is not installed, and ToolFailedError with the command, its exit code and its
    last lines when it fails or passes its time limit.
    """
    words = [str(locate(str(command[0]))), *(str(word) for word in command[1:])]
    logger.debug("run %s", words)
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout_s, cwd=folder, check=False)
    except subprocess.TimeoutExpired as error:
        raise ToolFailedError(f"{command[0]} did not end within {timeout_s:g} s", hint=" ".join(words)) from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        raise ToolFailedError(
            f"{command[0]} failed with exit code {done.returncode}:\n" + "\n".join(lines),
            hint="the command was: " + " ".join(words),
        )
    return done.stdout


def version(program: str) -> str:
    """Return the first line that `program --version` prints."""
    return run([program, "--version"], timeout_s=30).decode(errors="replace").splitlines()[0].strip()
