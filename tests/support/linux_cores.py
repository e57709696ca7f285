"""Cores of Linux profiles: this machine's own where it has what the profile asks for, else under qemu-user."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecompress.core import target as targets
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream, Device
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy._child import Child

CORES = {
    "rpi4": ("qemu-aarch64-static", "cortex-a72"),
    "rpi5": ("qemu-aarch64-static", "cortex-a76"),
    "aarch64-i8mm": ("qemu-aarch64-static", "max"),
    "rpi2": ("qemu-arm-static", "cortex-a7"),
    "armv7": ("qemu-arm-static", "cortex-a9"),
    "x86-64": ("qemu-x86_64-static", "Nehalem"),
    "x86-64-v3": ("qemu-x86_64-static", "Haswell"),
}
"""Profile -> its emulator and its core."""

OWN_CORES = {
    "x86-64-v4": ("avx512f", "avx512bw", "avx512vl"),
    "x86-64-vnni": ("avx512_vnni", "avx512f"),
    "x86-64-amx": ("amx_int8", "avx512_vnni", "avx512f"),
}
"""Profiles that qemu-user lacks the core of -> what this machine must have."""


def names() -> tuple[str, ...]:
    """The profiles whose programs can run here."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    known = set(targets.names())
    own = (name for name, needed in OWN_CORES.items() if name in known and flags.issuperset(needed))
    return (*CORES, *(own if platform.machine() == "x86_64" else ()))


def features(target: Target) -> tuple[str, ...]:
    """What the integer kernels of a target are chosen by."""
    return (*target.features, target.machine or "")


class CoreLink:
    """Speaks to a program that runs on a core, over its stdin and stdout."""

    emulated = True
    instructions_per_tick: float | None = None
    board: Board | None = None

    def __init__(self, target: Target) -> None:
        self.description = f"a core of {target.name}"
        emulator = CORES.get(target.name)
        self._words = [] if emulator is None else [shutil.which(emulator[0]) or emulator[0], "-cpu", emulator[1]]
        self._child: Child | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:
        self._child = Child([*self._words, bundle.program.resolve()], name="the program", stdout_is_stream=True)
        return self._child

    def accept(self) -> None:
        pass

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


@contextmanager
def connect(target: Target) -> Iterator[Device]:
    """Give a device that runs programs of a profile in CORES or OWN_CORES."""
    with Device(CoreLink(target), target) as device:
        yield device
