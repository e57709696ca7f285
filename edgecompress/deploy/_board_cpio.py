"""Write a cpio archive of the form that the kernel unpacks into its root (Documentation/driver-api/early-userspace)."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import PurePosixPath

ALIGN = 4
MAGIC = "070701"
LAST_NAME = "TRAILER!!!"


def archive(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Pack files, given as path without the leading slash -> (permissions, content), and the folders above them.

    The root is among these folders: it must be nobody else's to write, or sshd refuses every login. Everything belongs
    to root. Archives may be put one behind the other: each is padded to four bytes, and a later one adds to what an
    earlier one brought. The same files give the same bytes.
    """
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    parts = [_entry(number, path, stat.S_IFDIR | 0o755, b"") for number, path in enumerate(sorted(folders), start=1)]
    for number, (path, (permissions, content)) in enumerate(sorted(files.items()), start=len(parts) + 1):
        parts.append(_entry(number, path, stat.S_IFREG | permissions, content))
    return b"".join([*parts, _entry(0, LAST_NAME, 0, b"")])


def _entry(number: int, path: str, mode: int, content: bytes) -> bytes:
    """One header of thirteen numbers in hex, the name, the content; the last two padded."""
    name = path.encode() + b"\0"
    user = group = time = major = minor = checksum = 0
    numbers = (number, mode, user, group, 1, time, len(content), major, minor, major, minor, len(name), checksum)
    header = MAGIC + "".join(f"{value:08x}" for value in numbers)
    return _padded(header.encode() + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGN)
