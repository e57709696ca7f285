"""The stdin and stdout of a program on the board, as the byte stream of the device protocol."""

from __future__ import annotations

import contextlib
import threading
import time

from edgecompress.core.errors import StorageError, UnreachableError
from edgecompress.deploy._ssh_command import NOT_EXECUTABLE, NOT_FOUND, TOLD_PID, Words
from edgecompress.deploy._ssh_connection import Connection

READ_BYTES = 65536
LAST_BYTES = 4096
LAST_LINES = 3
END_TIMEOUT_S = 2.0
POLL_S = 0.05


class ProgramStream:
    """A running program. At most a window of its output (2 MiB) waits here; more makes the program wait.

    Its stderr is read all the time and its end is kept: it shares the window, and what it says last explains an error.
    """

    def __init__(self, connection: Connection, words: Words) -> None:
        self._connection = connection
        self._channel = connection.start(words)
        self._said = b""
        self._pid = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, or nothing after `timeout_s`. Raises UnreachableError at the program's end."""
        self._channel.settimeout(max(timeout_s, 0.0))
        try:
            data = bytes(self._channel.recv(READ_BYTES))
        except TimeoutError:
            return b""
        if not data:
            raise self._ended()
        return data

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write all of it. Raises UnreachableError when the program has ended, or does not take it in time."""
        deadline = time.monotonic() + timeout_s
        left = memoryview(data)
        while left:
            self._channel.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                left = left[self._channel.send(left) :]
            except TimeoutError as error:
                raise UnreachableError(f"the program took no bytes for {timeout_s:g} s") from error
            except OSError as error:
                raise self._ended() from error

    def close(self) -> None:
        """End the program: by the end of its input, and by a signal when that does not end it. Harmless twice."""
        if self._channel.closed:
            return
        with contextlib.suppress(OSError, EOFError, UnreachableError):
            self._channel.shutdown_write()
            if not self._channel.status_event.wait(END_TIMEOUT_S) and self._connection.is_alive and self._pid:
                self._connection.kill(self._pid)
        self._channel.close()
        self._listener.join(END_TIMEOUT_S)

    def _listen(self) -> None:
        while True:
            try:
                block = self._channel.recv_stderr(READ_BYTES)
            except TimeoutError:  # the channel has one time limit for both streams: that of the last `read`
                time.sleep(POLL_S)
                continue
            if not block:
                return
            self._said = (self._said + block)[-LAST_BYTES:]
            if not self._pid and (told := TOLD_PID.search(self._said)):
                self._pid, self._said = int(told[1]), self._said[told.end() :]

    def _ended(self) -> Exception:
        self._channel.status_event.wait(END_TIMEOUT_S)
        if not self._connection.is_alive:
            return self._connection.lost()
        self._listener.join(END_TIMEOUT_S)
        code = int(self._channel.exit_status)
        lines = self._said.decode(errors="replace").strip().splitlines()[-LAST_LINES:]
        said = "it said: " + "\n".join(lines) if lines else None
        if code in (NOT_EXECUTABLE, NOT_FOUND):
            return StorageError(f"{self._connection.endpoint.shown} cannot execute the program", hint=said)
        how = f"ended with exit code {code}" if code >= 0 else "was ended by a signal"
        return UnreachableError(f"the program on {self._connection.endpoint.shown} {how}", hint=said)
