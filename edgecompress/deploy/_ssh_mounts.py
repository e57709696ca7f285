"""Whether a file system of the board lets programs lie and run on it (proc(5), /proc/PID/mounts)."""

from __future__ import annotations

import re

from edgecompress.core.errors import StorageError
from edgecompress.deploy._ssh_files import shown
from edgecompress.deploy._ssh_site import Site

OTHER_FOLDER = "deploy to another folder: ssh://HOST/FOLDER"
REFUSED = {b"ro": "it cannot be written", b"noexec": "no program there can be executed"}


def refuse_unusable(site: Site, folder: bytes) -> None:
    """Raise StorageError when the folder is, or would be, on a file system that is read-only or executes nothing."""
    table = site.files.read(b"/proc/self/mounts") or b""
    there = site.files.whole_path(site.files.nearest_folder(folder))
    options = _options(table, there)
    for option, meaning in REFUSED.items():
        if option in options:
            where = f"{shown(folder)} on {site.shown}"
            raise StorageError(f"{where} is mounted {option.decode()}: {meaning}", hint=OTHER_FOLDER)


def _options(table: bytes, folder: bytes) -> frozenset[bytes]:
    """The options of the last mount whose point is the longest above the folder."""
    best, options = b"", b""
    for words in map(bytes.split, table.splitlines()):
        if len(words) < 4:
            continue
        point = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), words[1])
        inside = point == b"/" or folder == point or folder.startswith(point + b"/")
        if inside and len(point) >= len(best):
            best, options = point, words[3]
    return frozenset(options.split(b","))
