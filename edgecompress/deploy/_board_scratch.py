"""A running virtual board's own folder: its keys and settings, for its user's eyes only, gone when the board ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecompress.core.errors import StorageError

PREFIX = "edgecompress-board-"
YOUNGEST_ABANDONED_S = 60.0
"""A folder younger than this may be one that its process has not locked yet."""


@contextmanager
def refused_writes_explained() -> Iterator[None]:
    """Turn what the file system refuses (full, read-only, not permitted) into StorageError."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write {error.filename or tempfile.gettempdir()}: {error.strerror}",
            hint="free some space there, or name other folders: TMPDIR and XDG_CACHE_HOME",
        ) from error


class Scratch:
    """A folder that only its user can enter, locked as long as this process lives.

    One that a killed process left behind is not locked, and is removed when the next one is made.
    """

    def __init__(self) -> None:
        _remove_abandoned(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def remove(self) -> None:
        """Remove the folder; harmless twice."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            if folder.stat().st_uid == os.geteuid() and time.time() - folder.stat().st_mtime > YOUNGEST_ABANDONED_S:
                _remove_unlocked(folder)
        except OSError:
            continue


def _remove_unlocked(folder: Path) -> None:
    """Remove a folder; raises OSError when its process still holds it."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
