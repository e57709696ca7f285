"""What cmake and make share: the network as a library, an example for this machine and for the target, its emulator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecompress.core.target import Target
from edgecompress.export import _flags, _sources, _templates, _vectors
from edgecompress.export._project import Project

SEMIHOSTING = (
    *("-display", "none", "-serial", "none", "-monitor", "none", "-chardev", "stdio,id=console"),
    *("-semihosting-config", "enable=on,target=native,chardev=console"),
)
"""QEMU's words for a machine whose program prints by semihosting, on stdout."""
USER_EMULATORS = {"aarch64": "qemu-aarch64", "armv6l": "qemu-arm", "armv7l": "qemu-arm", "x86_64": "qemu-x86_64"}
"""What `uname -m` prints on a target -> the emulator of its programs."""
DEVICE_FILES = {"device/start.c": "start.c", "device/console_semihosting.c": "console_semihosting.c"}


@dataclass(frozen=True, kw_only=True)
class Example:
    """What the build files name: paths are relative to src/, example/ and device/."""

    written: _sources.Written
    checks: tuple[str, ...]
    device_example: tuple[str, ...]


def write(project: Project, folder: Path) -> Example:
    """Write include/, src/, example/, and device/ for a microcontroller."""
    written = _sources.write(project, header=folder / "include", sources=folder / "src")
    checks = _vectors.write(project, folder / "example")
    shared = {f"example/{file}": file for file in ("main.c", "console.h", "console_stdio.c")}
    _templates.write(project, folder, shared)
    if project.target.system == "linux":
        return Example(written=written, checks=checks, device_example=("console_stdio.c",))
    files = {**DEVICE_FILES, "device/semihosting.h": "semihosting.h", "device/link.ld": "link.ld"}
    _templates.write(project, folder, files, memory=project.target.memory)
    return Example(written=written, checks=checks, device_example=tuple(DEVICE_FILES.values()))


def values(project: Project, example: Example) -> dict[str, object]:
    """What the templates of the build files ask for."""
    return {
        "written": example.written,
        "checks": example.checks,
        "device_example": example.device_example,
        "flags": _flags.network(project),
        "clang_flags": _flags.for_clang(_flags.network(project)),
        "cpu_flags": _flags.cpu(project.target),
        "prefix": project.target.toolchain.prefix,
        "hosted": project.target.system == "linux",
        "bare": project.target.system == "bare",
        "emulator": emulator(project.target),
    }


def emulator(target: Target) -> tuple[str, ...]:
    """The emulator's command, to which the program is added; nothing where there is none, or none is needed."""
    if target.system == "linux":
        known = USER_EMULATORS.get(target.machine or "")
        return (known,) if known and target.toolchain.prefix else ()
    if target.emulator is None:
        return ()
    return (target.emulator.program, "-M", target.emulator.machine, *SEMIHOSTING, "-kernel")
