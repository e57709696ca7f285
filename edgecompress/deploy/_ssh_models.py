"""What lies on the board for one model, and how a program gets there.

    FOLDER/MODEL/versions/BUILD-SHA256   programs that a device proved right, newest by date
    FOLDER/MODEL/current                 a link to the version in use, switched in one step
    FOLDER/MODEL/staged/BUILD-SHA256     one that is on its way, or not proven yet; a lost connection may leave one
    FOLDER/MODEL/lock                    who deploys now (deploy/_ssh_lock)

A version's name is its build id and its program's SHA-256, so that anyone can check the file against its name.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote_from_bytes

from edgecompress.core import files as local_files
from edgecompress.core.errors import ConfigError, StorageError, TransferError, UsageError
from edgecompress.core.values import Progress
from edgecompress.deploy._ssh_files import CHUNK_BYTES, shown
from edgecompress.deploy._ssh_mounts import OTHER_FOLDER, refuse_unusable
from edgecompress.deploy._ssh_site import Site

KEPT_VERSIONS = 3
"""The one in use among them."""
LONGEST_NAME = 100
HASH_TIMEOUT_S = 30.0
SLOWEST_HASH_BYTES_PER_S = 1 << 20
SPARE_BYTES = 64 * 1024
"""What a link, folders and the file system's own blocks take at most."""

_BUILD_ID = re.compile(r"[0-9a-f]{32}")
_VERSION = re.compile(r"([0-9a-f]{32})-([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A program on the board; `changed_s` is when it was taken into use, by the deployer's clock."""

    build_id: str
    sha256: str
    size: int
    changed_s: int
    is_current: bool

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.build_id}-{self.sha256}"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A bundle's program on this machine."""

    path: Path
    build_id: str
    sha256: str
    size: int

    @classmethod
    def of(cls, path: Path, build_id: str) -> Program:
        """Look at a file. Raises ConfigError when the build id is none: it becomes a file's name."""
        if not _BUILD_ID.fullmatch(build_id):
            raise ConfigError(f"{build_id!r} is no build id: 32 hexadecimal digits", hint="compile again")
        return cls(path=path, build_id=build_id, sha256=local_files.sha256(path), size=path.stat().st_size)

    @property
    def name(self) -> str:
        """What it is called on the board."""
        return f"{self.build_id}-{self.sha256}"


def folder_name(model: str) -> bytes:
    """A model's folder: letters, digits, `_`, `-`, `.`, and the rest as %XX. Long names end in a hash."""
    raw = model.encode("utf-8", "surrogatepass")
    name = quote_from_bytes(raw, safe="").replace("~", "%7E")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 17]}-{hashlib.sha256(raw).hexdigest()[:16]}"
    return (name or "%").encode()


class ModelFolder:
    """One model's folder on the board; `name` is what `folder_name` makes of the model's."""

    def __init__(self, site: Site, name: bytes) -> None:
        self._site = site
        self._files = site.files
        self._path = site.folder + b"/" + name

    @property
    def lock_path(self) -> bytes:
        """Where the lock lies."""
        return self._path + b"/lock"

    def versions(self) -> tuple[Version, ...]:
        """The versions, newest first."""
        current = self._files.link_target(self._path + b"/current")
        found = []
        for name in self._files.names(self._path + b"/versions"):
            match = _VERSION.fullmatch(name)
            size = self._files.size(self._version(name)) if match else None
            if match is None or size is None:
                continue
            changed_s = self._files.changed_s(self._version(name)) or 0
            found.append(
                Version(
                    build_id=match[1],
                    sha256=match[2],
                    size=size,
                    changed_s=changed_s,
                    is_current=current == f"versions/{name}",
                )
            )
        return tuple(sorted(found, key=lambda version: (-version.changed_s, version.name)))

    def make(self) -> None:
        """Make the folder and those in it, where the file system lets programs lie and run."""
        refuse_unusable(self._site, self._path)
        self._files.make_folder(self._path + b"/versions")
        self._files.make_folder(self._path + b"/staged")

    def place(self, program: Program, progress: Progress) -> bytes:
        """See to it that the program lies on the board, executable and whole; return its path.

        What is there already is not sent again, and a part that is there is continued. A lost connection leaves the
        part; any other failure leaves nothing.
        """
        kept = self._version(program.name)
        if self._files.size(kept) == program.size and self._hash(kept, program.size) == program.sha256:
            return kept
        staged = self._staged(program.name)
        self._remove_staged(but=program.name)
        try:
            self._send(program, staged, progress)
            self._files.make_executable(staged)
        except (StorageError, TransferError):
            self._files.remove(staged)
            raise
        return staged

    def accept(self, program: Program) -> None:
        """Take a placed program into use: a version, and the current one. Drops the oldest versions."""
        before = self.versions()
        is_new = self._files.size(self._staged(program.name)) is not None
        if not is_new and any(version.is_current and version.name == program.name for version in before):
            return
        if is_new:
            self._files.rename(self._staged(program.name), self._version(program.name))
        newest_s = max((version.changed_s for version in before), default=0)
        self._files.set_changed_s(self._version(program.name), max(int(time.time()), newest_s + 1))
        self._switch(program.name)
        self._remove_staged()
        self._prune()

    def drop(self, program: Program) -> None:
        """Remove a program that was placed and not accepted."""
        self._files.remove(self._staged(program.name))

    def roll_back(self) -> tuple[Version, Version]:
        """Make the version before the current one current; return both, the new current one first.

        Raises UsageError when there is none, TransferError when its file is damaged.
        """
        versions = self.versions()
        current = next((index for index, version in enumerate(versions) if version.is_current), None)
        if current is None or current + 1 == len(versions):
            raise UsageError(
                f"{self._shown} has no version before the current one",
                hint="edgecompress devices versions lists what is there",
            )
        older = versions[current + 1]
        if self._hash(self._version(older.name), older.size) != older.sha256:
            raise TransferError(
                f"{shown(self._version(older.name))} is damaged: its SHA-256 is not that of its name",
                hint="deploy that bundle again",
            )
        self._switch(older.name)
        return older, versions[current]

    def _version(self, name: str) -> bytes:
        return self._path + b"/versions/" + name.encode()

    def _staged(self, name: str) -> bytes:
        return self._path + b"/staged/" + name.encode()

    def _switch(self, name: str) -> None:
        draft = self._path + b"/.current"
        self._files.remove(draft)
        self._files.link(draft, f"versions/{name}".encode())
        self._files.rename(draft, self._path + b"/current")

    def _prune(self) -> None:
        for version in self.versions()[KEPT_VERSIONS:]:
            if not version.is_current:
                self._files.remove(self._version(version.name))

    def _remove_staged(self, but: str | None = None) -> None:
        for name in self._files.names(self._path + b"/staged"):
            if name != but:
                self._files.remove(self._staged(name))

    def _send(self, program: Program, staged: bytes, progress: Progress) -> None:
        start = self._usable_part(program, staged)
        self._check_room(program.size - start)
        progress("upload", start, program.size)
        with program.path.open("rb") as source:
            source.seek(start)
            for sent in self._files.write_on(staged, start, iter(partial(source.read, CHUNK_BYTES), b"")):
                progress("upload", sent, program.size)
        got = self._hash(staged, program.size)
        if got != program.sha256:
            raise TransferError(
                f"the program in {self._shown} has the SHA-256 {got}; sent was {program.sha256}",
                hint="the line or the board's disk damages data: try again, then try another card",
            )

    def _usable_part(self, program: Program, staged: bytes) -> int:
        """How many bytes of the program lie there already, proven by their hash."""
        size = self._files.size(staged)
        if not size or size > program.size:
            return 0
        with program.path.open("rb") as source:
            prefix = hashlib.sha256(source.read(size)).hexdigest()
        return size if self._hash(staged, size) == prefix else 0

    def _check_room(self, need: int) -> None:
        free = self._files.free_bytes(self._path)
        if free is not None and free < need + SPARE_BYTES:
            raise StorageError(
                f"{self._shown} has {free:,} bytes free; the program needs {need + SPARE_BYTES:,}",
                hint=f"free some space there, or {OTHER_FOLDER}",
            )

    @property
    def _shown(self) -> str:
        return f"{shown(self._path)} on {self._site.shown}"

    def _hash(self, path: bytes, size: int) -> str:
        """The SHA-256 of a file on the board: computed there, or read back where sha256sum is missing."""
        limit_s = HASH_TIMEOUT_S + size / SLOWEST_HASH_BYTES_PER_S
        answer = self._site.shell.run((b"sha256sum", path), timeout_s=limit_s)
        found = re.match(rb"\\?([0-9a-f]{64})\b", answer.stdout)  # a backslash says that the name was escaped
        if answer.exit_code == 0 and found:
            return found[1].decode()
        return hashlib.sha256(self._files.read(path, limit=size + 1) or b"").hexdigest()
