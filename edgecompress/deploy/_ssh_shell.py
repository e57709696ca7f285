"""Small programs on the board, one after the other, by one /bin/sh that stays.

A login shell for each of them would take as long as the user's ~/.bashrc does. The shell reads one line a program: its
words, each byte in octal (deploy/_ssh_command), so that nothing in them is ever read as shell.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from typing import Any

from edgecompress.core.board import Answer
from edgecompress.core.errors import UnreachableError
from edgecompress.deploy._ssh_command import Words, octal, script_command
from edgecompress.deploy._ssh_connection import Connection

READ_BYTES = 32768
MOST_ANSWER_BYTES = 1 << 20
START_TIMEOUT_S = 30.0

# Every answer ends in a line with a random word and the exit code. The first such line comes after what login scripts
# print, and has the shell's process id. Words end in `_`: an empty one is one, and a substitution drops no newlines.
SERVE = (
    'exec 2>/dev/null; set -f; LC_ALL=C; export LC_ALL; printf "\\n%s %d\\n" "$1" $$; '
    "while read -r line; do "
    '( set --; for w in $line; do w=$(printf %b "$w"); set -- "$@" "${w%_}"; done; exec "$@" ) </dev/null; '
    'printf "\\n%s %d\\n" "$1" $?; done'
)


class Shell:
    """Started with the first program, and anew after one that had to be ended. Threads take turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel: Any = None
        self._pid = 0
        self._turn = threading.Lock()
        self._token = secrets.token_hex(8)
        self._end = re.compile(rb"\n%s (\d+)\n\Z" % self._token.encode())

    def run(self, words: Words, *, timeout_s: float) -> Answer:
        """Run a program to its end, without input. Raises UnreachableError when it takes too long or says too much."""
        with self._turn, self._connection.lost_when_it_breaks():
            try:
                channel = self._channel or self._start()
                channel.sendall(b" ".join(octal(word) + b"_" for word in words) + b"\n")
                return self._read_answer(channel, words[0], timeout_s)
            except BaseException:
                self._stop()
                raise

    def _start(self) -> Any:
        channel = self._connection.start_command(script_command(SERVE, self._token))
        self._channel = channel
        self._pid = self._read_answer(channel, "/bin/sh", START_TIMEOUT_S).exit_code
        return channel

    def _stop(self) -> None:
        """End the shell and the program that it waits for."""
        if self._channel is not None:
            self._channel.close()
        with contextlib.suppress(UnreachableError):
            if self._pid:
                self._connection.kill(self._pid)
        self._channel, self._pid = None, 0

    def _read_answer(self, channel: Any, program: str | bytes, timeout_s: float) -> Answer:
        deadline = time.monotonic() + timeout_s
        said = bytearray()
        while True:
            channel.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                block = channel.recv(READ_BYTES)
            except TimeoutError as error:
                raise self._problem(program, f"did not end within {timeout_s:g} s") from error
            if not block:
                raise self._connection.lost()
            said += block
            if end := self._end.search(said, max(0, len(said) - len(self._token) - 16)):
                return Answer(exit_code=int(end[1]), stdout=bytes(said[: end.start()]))
            if len(said) > MOST_ANSWER_BYTES:
                raise self._problem(program, f"printed more than {MOST_ANSWER_BYTES:,} bytes")

    def _problem(self, program: str | bytes, what: str) -> UnreachableError:
        name = program.decode(errors="backslashreplace") if isinstance(program, bytes) else program
        return UnreachableError(f"{name} on {self._connection.endpoint.shown} {what}")
