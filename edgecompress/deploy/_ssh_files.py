"""A board's files over SFTP: byte paths, every operation with a deadline, refusals told from a lost connection."""

from __future__ import annotations

import errno
import stat
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import paramiko

from edgecompress.core.errors import StorageError
from edgecompress.deploy._ssh_connection import Connection

CHUNK_BYTES = 32768
"""The largest write that every SFTP server takes (draft-ietf-secsh-filexfer-02, 3)."""
BLOCKS_ON_THEIR_WAY = 8
"""A quarter of a megabyte: what a line with 5 MB/s carries in 50 ms."""
SMALL_FILE_BYTES = 1 << 20

_STATVFS = struct.Struct(">11Q")

# Message types of draft-ietf-secsh-filexfer-02, 3.
_WRITE, _REALPATH, _EXTENDED = 6, 16, 200


class Files:
    """Files and folders of the board, through one SFTP channel. Threads take turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sftp = connection.open_sftp()
        self._turn = threading.RLock()

    @property
    def url(self) -> str:
        """The address of the board."""
        return self._connection.endpoint.url

    def home(self) -> bytes:
        """The absolute path of the folder that the login starts in."""
        return self.whole_path(b".")

    def whole_path(self, path: bytes) -> bytes:
        """The absolute path of a file or folder that is there, links resolved."""
        with self._operation("find", path):
            _, answer = self._sftp._request(_REALPATH, path)
            answer.get_int()
            return bytes(answer.get_binary())

    def size(self, path: bytes) -> int | None:
        """The size of a regular file, links followed; None when there is none."""
        found = self._stat(path)
        return None if found is None or not stat.S_ISREG(found.st_mode) else int(found.st_size)

    def changed_s(self, path: bytes) -> int | None:
        """When a file was last written, in seconds since 1970 by the board's clock; None when there is none."""
        found = self._stat(path)
        return None if found is None else int(found.st_mtime)

    def read(self, path: bytes, limit: int = SMALL_FILE_BYTES) -> bytes | None:
        """The first `limit` bytes of a file; None when it is not there or may not be read."""
        blocks: list[bytes] = []
        try:
            with self._operation("read", path), self._sftp.open(path, "rb") as file:
                while limit > 0 and (block := file.read(min(limit, CHUNK_BYTES))):
                    blocks.append(block)
                    limit -= len(block)
        except StorageError:
            return None
        return b"".join(blocks)

    def names(self, folder: bytes) -> tuple[str, ...]:
        """The sorted names in a folder; none when it is not there or may not be read."""
        try:
            with self._operation("list", folder):
                return tuple(sorted(self._sftp.listdir(folder)))
        except (StorageError, UnicodeDecodeError):
            return ()

    def make_folder(self, path: bytes) -> None:
        """Make a folder and those above it, where they are missing."""
        found = self._stat(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            return
        above, _, _ = path.rpartition(b"/")
        if above:
            self.make_folder(above)
        with self._operation("make the folder", path):
            self._sftp.mkdir(path, 0o755)

    def nearest_folder(self, path: bytes) -> bytes:
        """The path itself, or the first folder above it that is there."""
        while path.strip(b"/") and self._stat(path) is None:
            path = path.rpartition(b"/")[0]
        return path or b"/"

    def write_on(self, path: bytes, start: int, blocks: Iterable[bytes]) -> Iterator[int]:
        """Write blocks of at most `CHUNK_BYTES` from `start` on, into a new file when that is 0; flush it to the disk.

        Gives the file's size each time that the board has confirmed a block. Some blocks are on their way at a time, so
        that a slow line is filled; the board answers in order. Nobody else uses these files meanwhile.
        """
        with self._operation("write", path):
            file = self._sftp.open(path, "r+b" if start else "wb")
        try:
            waiting: deque[tuple[int, int]] = deque()
            end = start
            for block in blocks:
                waiting.append((self._send(file, path, end, block), end + len(block)))
                end += len(block)
                if len(waiting) == BLOCKS_ON_THEIR_WAY:
                    yield self._confirm(path, *waiting.popleft())
            while waiting:
                yield self._confirm(path, *waiting.popleft())
            self._flush_to_disk(file, path)
        finally:
            with self._connection.lost_when_it_breaks():
                file.close()

    def make_executable(self, path: bytes) -> None:
        """Give it the mode 755."""
        with self._operation("make executable", path):
            self._sftp.chmod(path, 0o755)

    def set_changed_s(self, path: bytes, seconds: int) -> None:
        """Set when a file was last written."""
        with self._operation("date", path):
            self._sftp.utime(path, (seconds, seconds))

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename in one step, over what has the new name."""
        with self._operation("rename", old):
            self._sftp.posix_rename(old, new)

    def remove(self, path: bytes) -> None:
        """Remove a file or link; nothing happens when there is none."""
        with self._operation("remove", path):
            try:
                self._sftp.remove(path)
            except FileNotFoundError:
                return

    def link(self, path: bytes, to: bytes) -> None:
        """Make a symbolic link."""
        with self._operation("link", path):
            self._sftp.symlink(to, path)

    def link_target(self, path: bytes) -> str | None:
        """Where a symbolic link leads; None when there is none."""
        try:
            with self._operation("read", path):
                target = self._sftp.readlink(path)
                return None if target is None else str(target)
        except (StorageError, UnicodeDecodeError):
            return None

    def free_bytes(self, folder: bytes) -> int | None:
        """What the file system of a folder has free for this user; None when the server cannot tell."""
        try:
            with self._operation("measure", folder):
                _, answer = self._sftp._request(_EXTENDED, b"statvfs@openssh.com", folder)
                _, fragment, _, _, available, *_ = _STATVFS.unpack(answer.get_bytes(_STATVFS.size))
        except (StorageError, struct.error):
            return None
        return int(fragment * available)

    def close(self) -> None:
        """Close the channel; harmless twice."""
        self._sftp.close()

    def _stat(self, path: bytes) -> Any:
        with self._operation("look at", path):
            try:
                return self._sftp.stat(path)
            except FileNotFoundError:
                return None

    def _send(self, file: Any, path: bytes, start: int, block: bytes) -> int:
        with self._operation("write", path):
            return int(self._sftp._async_request(type(None), _WRITE, file.handle, paramiko.sftp.int64(start), block))

    def _confirm(self, path: bytes, request: int, end: int) -> int:
        try:
            with self._operation("write", path):
                self._sftp._read_response(request)
        except StorageError as error:
            free = self.free_bytes(path.rpartition(b"/")[0])
            if free is None:
                raise
            raise StorageError(f"{error.message}; {free:,} bytes are free there", hint=error.hint) from error
        return end

    def _flush_to_disk(self, file: Any, path: bytes) -> None:
        """Ask for fsync(2), which servers other than OpenSSH's do not know."""
        with self._operation("write", path):
            try:
                self._sftp._request(_EXTENDED, b"fsync@openssh.com", file.handle)
            except OSError as error:
                if "nsupported" not in str(error):
                    raise

    @contextmanager
    def _operation(self, what: str, path: bytes) -> Iterator[None]:
        """Take a turn; a refusal becomes StorageError, a broken connection LostConnectionError."""
        try:
            with self._turn, self._connection.lost_when_it_breaks():
                yield
        except OSError as error:
            raise StorageError(
                f"{self._connection.endpoint.shown} cannot {what} {shown(path)}: {_reason(error)}",
                hint="may this user write there, and is there space left?",
            ) from error


def shown(path: bytes) -> str:
    """A path in an error message: one line, whatever bytes it holds."""
    text = path.decode(errors="backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]


def _reason(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "permission denied"
    if error.errno == errno.ENOENT:
        return "no such file or folder"
    return "the board refused" if str(error) in ("Failure", "") else str(error)
