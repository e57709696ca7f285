"""The link to a virtual board: switched on when a bundle is to run there, and from then on a board behind SSH."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream
from edgecompress.core.values import Progress
from edgecompress.deploy.ssh import SshLink


class Power(Protocol):
    """A virtual board that runs; `close` switches it off, harmless twice."""

    def close(self) -> None:
        """Switch it off."""


class BoardLink:
    """Each `start` switches the board on anew; `switch_on` returns it together with the SSH link to it."""

    emulated = True

    def __init__(
        self,
        description: str,
        instructions_per_tick: float | None,
        switch_on: Callable[[Progress], tuple[Power, SshLink]],
    ) -> None:
        self.description = description
        self.instructions_per_tick = instructions_per_tick
        self.board: Board | None = None
        self._switch_on = switch_on
        self._power: Power | None = None
        self._ssh: SshLink | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:
        """Switch the board on, bring the program there and start it. Raises what both of these raise."""
        self.close()
        self._power, self._ssh = self._switch_on(progress)
        stream = self._ssh.start(bundle, progress)
        self.board = self._ssh.board
        return stream

    def accept(self) -> None:
        """Make the program that was proven right the model's current version."""
        if self._ssh is not None:
            self._ssh.accept()

    def close(self) -> None:
        """End the connection and switch the board off; harmless twice."""
        if self._ssh is not None:
            self._ssh.close()
        if self._power is not None:
            self._power.close()
        self._ssh = self._power = self.board = None
