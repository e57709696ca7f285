"""One conversation with a device: a request, its retries, its answer. Every wait has a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from edgecompress.core import wire
from edgecompress.core.errors import TransferError, UnreachableError
from edgecompress.core.wire import Command, Frame, Status

HELLO_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 10.0
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 8.0
GARBAGE_AFTER_S = 2.5
GARBAGE_STILL_S = 1.0

Clock = Callable[[], float]
"""Seconds that never run backwards. Tests bring one that a fake stream moves on."""


class ByteStream(Protocol):
    """A two-way stream of bytes: a UART, a pty, a socket, a pipe."""

    def read(self, timeout_s: float) -> bytes:
        """Return what has come, at least one byte, or nothing after `timeout_s`. Raises UnreachableError at its end."""

    def write(self, data: bytes, timeout_s: float) -> None:
        """Write all of it. Raises UnreachableError when the other side is gone or does not take it in time."""


class RestartedError(UnreachableError):
    """The device started anew since hello: it was reset, lost its power, or a fault stopped its program."""


class RefusedError(TransferError):
    """The device answered a request with a status that says no."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Session:
    """Requests over a byte stream, numbered, so that a repeated one is not executed twice."""

    def __init__(self, stream: ByteStream, description: str, *, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._description = description
        self._reader = wire.Reader()
        self._sequence = 0
        self._echoes = 0
        self._last_noise_s = 0.0

    def greet(self, timeout_s: float = HELLO_TIMEOUT_S) -> bytes:
        """Begin, or begin anew; return hello's answer. Raises UnreachableError for silence and for garbage."""
        return self.ask(Command.HELLO, timeout_s=timeout_s)

    def ask(self, command: Command, payload: bytes = b"", *, timeout_s: float = ANSWER_TIMEOUT_S) -> bytes:
        """Send a request until its answer comes; return the answer's payload.

        Raises UnreachableError when none comes in `timeout_s`, RestartedError when the device forgot the session,
        TransferError when it refuses the request.
        """
        self._sequence = (self._sequence + 1) % 0x1_0000
        request = Frame(command=command, sequence=self._sequence, payload=payload)
        begin = self._clock()
        deadline = begin + timeout_s
        patience = FIRST_RETRY_S
        while (left := deadline - self._clock()) > 0:
            self._stream.write(wire.encode(request), left)
            answer = self._wait_for_answer(request, min(deadline, self._clock() + patience))
            if answer is not None:
                return self._accept(command, answer)
            if command is Command.HELLO:
                self._refuse_garbage(begin)
            else:
                patience = min(2 * patience, LONGEST_RETRY_S)
        if self._noise_bytes:
            raise self._garbage_error(self._clock() - begin)
        raise self._silence_error(command, timeout_s)

    def _wait_for_answer(self, request: Frame, until: float) -> Frame | None:
        while (left := until - self._clock()) > 0:
            noise_before = self._noise_bytes
            for frame in self._reader.take(self._stream.read(left)):
                if frame.sequence == request.sequence and frame.command == request.command | wire.ANSWER_BIT:
                    self._reader.noise_bytes = self._echoes = 0
                    return frame
                self._echoes += 0 if frame.is_answer else 1
            if self._noise_bytes > noise_before:
                self._last_noise_s = self._clock()
        return None

    def _accept(self, command: Command, answer: Frame) -> bytes:
        if answer.status == Status.OK:
            return answer.payload
        if answer.status == Status.NO_SESSION:
            raise RestartedError(f"{self._description} restarted before {command.name} was done")
        known = answer.status in set(Status)
        name = Status(answer.status).name if known else f"status {answer.status}"
        raise RefusedError(f"{self._description} refused {command.name}: {name}", answer.status)

    @property
    def _noise_bytes(self) -> int:
        return self._reader.noise_bytes + self._reader.pending + self._echoes * wire.SHORTEST_BLOCK

    def _refuse_garbage(self, begin: float) -> None:
        """Raise early when garbage keeps coming: boot noise ends by itself, a wrong program or baud rate does not."""
        now = self._clock()
        if now - begin >= GARBAGE_AFTER_S and now - self._last_noise_s <= GARBAGE_STILL_S and self._noise_bytes:
            raise self._garbage_error(now - begin)

    def _garbage_error(self, seconds: float) -> UnreachableError:
        return UnreachableError(
            f"{self._description} sent {self._noise_bytes:,} bytes in {seconds:.1f} s, but no frame",
            hint="it only repeats what it is sent: no runtime is running there"
            if self._echoes
            else "another program seems to run there, or the baud rate is wrong",
        )

    def _silence_error(self, command: Command, timeout_s: float) -> UnreachableError:
        what = "no answer" if command is Command.HELLO else f"no answer to {command.name}"
        return UnreachableError(
            f"{what} from {self._description} within {timeout_s:g} s",
            hint="is the program running there, and is this its line? reset the device and try again",
        )
