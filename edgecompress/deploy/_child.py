"""A child process that is spoken to over a socket: the program of a local device, or an emulator."""

from __future__ import annotations

import logging
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from edgecompress.core.errors import UnreachableError

logger = logging.getLogger(__name__)

READ_BYTES = 65536
END_TIMEOUT_S = 2.0
LAST_LINES = 3
LAST_BYTES = 65536

# An emulator that gives up prints what was wrong, and after it every register of the core.
_COMPLAINT = re.compile(r"\b(fatal|error|invalid|cannot|could not|no such)\b", re.IGNORECASE)


class Child:
    """A running program whose stdin and stdout are the far end of a socket. It is also the ByteStream to it.

    `name` is how errors call it; `keeps` are files, by their descriptors, that it keeps open. The program ends with
    `close`, and with this process, whatever ends that.
    """

    def __init__(
        self, command: Sequence[str | Path], *, name: str, stdout_is_stream: bool, keeps: tuple[int, ...] = ()
    ) -> None:
        self._name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._socket, far_end = socket.socketpair()
        self._socket.setblocking(False)
        words = [str(word) for word in command]
        keeper = Path(__file__).with_name("_parent_death.py")
        logger.debug("start %s", words)
        with far_end:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(keeper), str(os.getpid()), *words],
                stdin=far_end.fileno(),
                stdout=far_end.fileno() if stdout_is_stream else self._stderr,
                stderr=self._stderr,
                pass_fds=keeps,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`. Raises UnreachableError when the program has ended."""
        ready, _, _ = select.select([self._socket], [], [], max(timeout_s, 0.0))
        if not ready:
            return b""
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            raise self._ended() from error
        if not data:
            raise self._ended()
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write all of it. Raises UnreachableError when the program has ended, or does not take it in time."""
        deadline = time.monotonic() + timeout_s
        left = memoryview(data)
        while left:
            _, ready, _ = select.select([], [self._socket], [], max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise UnreachableError(f"{self._name} took no bytes for {timeout_s:g} s")
            try:
                left = left[self._socket.send(left) :]
            except OSError as error:
                raise self._ended() from error

    def close(self) -> None:
        """End the program by its process id; harmless twice."""
        self._socket.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._stderr.close()

    def _ended(self) -> UnreachableError:
        try:
            code = self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return UnreachableError(f"{self._name} closed its line")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = self._last_words()
        return UnreachableError(f"{self._name} {how}", hint=f"it said: {said}" if said else None)

    def _last_words(self) -> str:
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - LAST_BYTES))
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        complaints = [line for line in lines if _COMPLAINT.search(line)]
        return "\n".join((complaints or lines)[-LAST_LINES:])
