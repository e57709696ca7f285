"""A board of qemu-user as the one that it imitates: what Linux would say of the core, and silence on all the rest."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompress.core.board import Answer, Board
from edgecompress.core.target import Target
from edgecompress.deploy import _board_imitation

OF_THE_HOST = ("/proc", "/sys", "/lib")
"""The kernel and the libraries are this machine's; of the board they say nothing."""
PROGRAMS_OF_THE_HOST = ("getconf", "vcgencmd")


class LoopBoard:
    """Answers for the board's core, machine and name from its profile; files and programs are the inner board's."""

    def __init__(self, board: Target, inner: Board) -> None:
        self._inner = inner
        self._files = {
            "/proc/cpuinfo": _board_imitation.cpuinfo(board),
            "/proc/device-tree/model": f"loop://{board.name}\0".encode(),
        }
        bits = 64 if board.machine in ("aarch64", "x86_64") else 32
        self._programs: dict[tuple[str, ...], str] = {
            ("uname", "-m"): str(board.machine),
            ("getconf", "LONG_BIT"): str(bits),
        }

    def read(self, path: str) -> bytes | None:
        """Return the imitated file; None for any other one that would be this machine's."""
        if path in self._files:
            return self._files[path]
        return None if _is_the_hosts(path) else self._inner.read(path)

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names in a folder of the board's own."""
        return () if _is_the_hosts(folder) else self._inner.names(folder)

    def run(self, words: Sequence[str], *, timeout_s: float) -> Answer | None:
        """Answer what is known; None for a program that would tell of this machine."""
        told = self._programs.get(tuple(words))
        if told is not None:
            return Answer(exit_code=0, stdout=f"{told}\n".encode())
        return None if words[0] in PROGRAMS_OF_THE_HOST else self._inner.run(words, timeout_s=timeout_s)


def _is_the_hosts(path: str) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in OF_THE_HOST)
