"""An STM32 in the UART bootloader of its boot ROM, behind a pty (ST's AN3155, protocol version 3.1)."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from functools import reduce

ACK, NACK, SYNC = 0x79, 0x1F, 0x7F
GET, GET_VERSION, GET_ID, READ, GO, WRITE, ERASE = 0x00, 0x01, 0x02, 0x11, 0x21, 0x31, 0x44
COMMANDS = (GET, GET_VERSION, GET_ID, READ, GO, WRITE, ERASE)


class Stm32Bootloader:
    """Answers at `path` until `close`; `flash` begins at `origin` and is erased. `started` is where Go went.

    With `writes` False it acknowledges every write and keeps none.
    """

    def __init__(self, *, device_id: int, origin: int, flash_bytes: int, page_bytes: int, writes: bool = True) -> None:
        self.flash = bytearray([0xFF] * flash_bytes)
        self.erased: list[int] = []
        self.started: int | None = None
        self._device_id = device_id
        self._origin = origin
        self._page_bytes = page_bytes
        self._writes = writes
        self._near, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._near)
        os.close(self._slave)

    def _run(self) -> None:
        synced = False
        while not self._stop.is_set():
            if not select.select([self._near], [], [], 0.02)[0]:
                continue
            (first,) = self._take(1)
            if first == SYNC:
                self._say(NACK if synced else ACK)
                synced = True
            elif self._take(1)[0] == first ^ 0xFF and first in COMMANDS:
                self._say(ACK)
                self._obey(first)
            else:
                self._say(NACK)

    def _obey(self, command: int) -> None:
        if command == GET:
            self._say(len(COMMANDS), 0x31, *COMMANDS, ACK)
        elif command == GET_VERSION:
            self._say(0x31, 0, 0, ACK)
        elif command == GET_ID:
            self._say(1, self._device_id >> 8, self._device_id & 0xFF, ACK)
        elif command == READ:
            self._read()
        elif command == WRITE:
            self._write()
        elif command == ERASE:
            self._erase()
        else:
            self.started = self._address()

    def _address(self) -> int:
        data = self._take(5)
        assert reduce(int.__xor__, data) == 0
        self._say(ACK)
        return int.from_bytes(data[:4], "big")

    def _read(self) -> None:
        start = self._address() - self._origin
        count, check = self._take(2)
        assert check == count ^ 0xFF
        self._say(ACK, *self.flash[start : start + count + 1])

    def _write(self) -> None:
        start = self._address() - self._origin
        (count,) = self._take(1)
        data = self._take(count + 1)
        assert self._take(1)[0] == reduce(int.__xor__, data, count)
        for offset, byte in enumerate(data):
            if self._writes:
                self.flash[start + offset] &= byte
        self._say(ACK)

    def _erase(self) -> None:
        head = self._take(2)
        count = int.from_bytes(head, "big")
        if count >= 0xFFF0:
            assert self._take(1)[0] == head[0] ^ head[1]
            pages = list(range(len(self.flash) // self._page_bytes))
        else:
            body = self._take(2 * (count + 1))
            assert self._take(1)[0] == reduce(int.__xor__, head + body)
            pages = [int.from_bytes(body[place : place + 2], "big") for place in range(0, len(body), 2)]
        for page in pages:
            begin = page * self._page_bytes
            self.flash[begin : begin + self._page_bytes] = bytes([0xFF] * self._page_bytes)
        self.erased += pages
        self._say(ACK)

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += os.read(self._near, count - len(data))
        return data

    def _say(self, *data: int) -> None:
        os.write(self._near, bytes(data))
