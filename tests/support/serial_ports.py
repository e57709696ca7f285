"""Serial ports that are ptys: a board that QEMU emulates, and a line in front of it that can be damaged or pulled."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import threading
import tty
from collections.abc import Callable
from pathlib import Path

READ_BYTES = 4096
_PTY = re.compile(r"char device redirected to (\S+)")

Change = Callable[[bytes], bytes]


class QemuBoard:
    """A board under qemu-system-arm whose first UART is a pty at `path`. The same program runs until `close`."""

    def __init__(self, machine: str, program: Path) -> None:
        headless = ("-display", "none", "-monitor", "none", "-nic", "none")
        self._process = subprocess.Popen(
            ["qemu-system-arm", "-machine", machine, "-kernel", program, *headless, "-serial", "pty"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        found = _PTY.search(self._process.stdout.readline())
        assert found, "QEMU named no pty"
        self.path = found[1]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Cable:
    """A pty at `link`, a symbolic link, whose bytes go to `far` (another pty) and back, changed by two functions.

    `unplug` makes the port vanish under whoever has it open; `plug` brings it back, as another pty under `link`.
    `baud` is the rate that a board at the far end has: at another one only garbage passes, as on a real line.
    """

    def __init__(self, link: Path, far: str | None = None, *, baud: int | None = None) -> None:
        self.link = link
        self.to_board: Change = bytes
        self.to_host: Change = bytes
        self.opened = 0
        self._baud = getattr(termios, f"B{baud}") if baud else None
        self._far = os.open(far, os.O_RDWR | os.O_NOCTTY) if far else None
        if self._far is not None:
            tty.setraw(self._far)
        self._near: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.plug()

    def plug(self) -> None:
        self._near, slave = pty.openpty()
        tty.setraw(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(slave))
        self._slave = slave
        self._stop.clear()
        self._thread = threading.Thread(target=self._carry, args=(self._near,), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        if self._near is None or self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self.link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._near)
        self._near = None

    def say(self, data: bytes) -> None:
        """Send bytes to the host that no board sent."""
        assert self._near is not None
        os.write(self._near, data)

    def close(self) -> None:
        self.unplug()
        if self._far is not None:
            os.close(self._far)
            self._far = None

    def _carry(self, near: int) -> None:
        ends = [near] if self._far is None else [near, self._far]
        while not self._stop.is_set():
            for end in select.select(ends, [], [], 0.01)[0]:
                data = os.read(end, READ_BYTES)
                if end == near:
                    self._pass(self.to_board(self._at_rate(data, near)), self._far)
                else:
                    self._pass(self.to_host(self._at_rate(data, near)), near)

    def _at_rate(self, data: bytes, near: int) -> bytes:
        wrong = self._baud is not None and termios.tcgetattr(near)[4] != self._baud
        return bytes(byte | 0x80 for byte in data[::2]) if wrong else data

    def _pass(self, data: bytes, end: int | None) -> None:
        if data and end is not None:
            os.write(end, data)
