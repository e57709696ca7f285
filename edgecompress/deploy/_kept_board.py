"""An emulated board that is kept in a folder: its firmware, and the memory that its flash is imitated in.

firmware.elf    what was flashed
memory.bin      the emulator maps it (MAP_SHARED): what was written there outlives the emulator's death
lock            held while the board is switched on
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from edgecompress.core import files
from edgecompress.core.errors import ConfigError, StorageError, UnreachableError
from edgecompress.core.target import Region, Target

ERASED = b"\xff"
LOCK_TIMEOUT_S = 10.0
LOCK_EVERY_S = 0.05


class KeptBoard:
    """One such folder. It is switched on once at a time: whoever holds the lock, or is its emulator."""

    def __init__(self, folder: Path, target: Target, memory: Region) -> None:
        self.folder = folder
        self.firmware = folder / "firmware.elf"
        self.memory = folder / "memory.bin"
        self._target = target
        self._region = memory

    def flash(self, program: Path) -> None:
        """Write a firmware, unless it is the one that is there; slots are empty then. Raises StorageError."""
        if self.firmware.is_file() and self.firmware.read_bytes() == program.read_bytes():
            return
        self.firmware.unlink(missing_ok=True)
        files.write_whole(self.memory, self._erased_memory())
        files.write_whole(self.firmware, program.read_bytes())

    def check(self) -> None:
        """Raise ConfigError when nothing was flashed yet."""
        if not self.firmware.is_file() or not self.memory.is_file():
            raise ConfigError(
                f"{self.folder} is no board that anything was flashed to",
                hint=f"write a firmware with slots first: edgecompress deploy RUN --device qemu://{self.folder}",
            )

    def lock(self) -> int:
        """Switch the board on: return a descriptor that holds the lock until every copy of it is closed.

        Raises UnreachableError when another process keeps the board switched on.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"cannot write {self.folder}: {error.strerror or error}") from error
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise UnreachableError(
                        f"the board in {self.folder} is switched on by another process",
                        hint="wait until that has ended, or end it",
                    ) from error
                time.sleep(LOCK_EVERY_S)
            else:
                return descriptor

    def _erased_memory(self) -> bytes:
        memory = bytearray(self._region.length)
        slots = self._target.slots
        for slot in (slots.a, slots.b) if slots is not None else ():
            start = slot.origin - self._region.origin
            memory[start : start + slot.length] = ERASED * slot.length
        return bytes(memory)
