"""A Linux system behind a link: what can be asked of it besides running a bundle's program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a program on the board gave: its exit code and the whole of its stdout."""

    exit_code: int
    stdout: bytes


class Board(Protocol):
    """Looks at a Linux system and starts small programs there; changes nothing by itself.

    All methods have a deadline of their own and raise UnreachableError when the connection is lost.
    """

    def read(self, path: str) -> bytes | None:
        """Return the whole of a small file, as under /proc and /sys; None when it is not there or may not be read."""

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the sorted names in a folder; none when it is not there or may not be read."""

    def run(self, words: Sequence[str], *, timeout_s: float) -> Answer | None:
        """Run a program to its end; None when there is no such program. No word is ever read by a shell."""
