"""A GDB server with flash behind it, as debug probes have: a memory map, blocks to erase, bits that only fall."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Sequence

from edgecompress.core.target import Region

PACKET = re.compile(rb"\$([^#]*)#([0-9a-fA-F]{2})", re.DOTALL)


class FlashGdbServer:
    """Takes one client at a time. `said`: the monitor commands it knows, and what they print; `asked`: every packet."""

    def __init__(self, flash: Region, block_bytes: int, said: dict[str, str], words: dict[int, int]) -> None:
        self.flash = bytearray(b"\xff" * flash.length)
        self.asked: list[bytes] = []
        self.stuck_low: set[int] = set()
        self.ignores_writes = False
        self._region = flash
        self._block_bytes = block_bytes
        self._said = said
        self._words = words
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def names(self) -> Sequence[str]:
        """The packets that change something or let the core run, by name and address."""
        kept = ("vFlash", "M", "P", "c", "vRun", "qRcmd")
        return [each.decode("latin-1") for each in self.asked if each.startswith(tuple(k.encode() for k in kept))]

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""
        while data := client.recv(65536):
            pending += data
            while found := PACKET.search(pending):
                pending = pending[found.end() :]
                self.asked.append(found[1])
                client.sendall(b"+")
                for answer in self._answer(found[1]):
                    client.sendall(b"$" + answer + b"#%02x" % (sum(answer) % 256))

    def _answer(self, packet: bytes) -> list[bytes]:
        if packet == b"c":
            return []
        if packet.startswith(b"qRcmd,"):
            return self._monitor(bytes.fromhex(packet[6:].decode()).decode())
        if packet.startswith(b"vFlashWrite:"):
            _, address, data = packet.split(b":", 2)
            return [self._write(int(address, 16), _plain(data))]
        if packet.startswith(b"vFlashErase:"):
            address, count = (int(word, 16) for word in packet[12:].split(b","))
            return [self._erase(address, count)]
        if packet[:1] == b"m":
            address, count = (int(word, 16) for word in packet[1:].split(b","))
            return [self._read(address, count)]
        return [self._simple(packet)]

    def _simple(self, packet: bytes) -> bytes:
        known = {b"?": b"T05", b"D": b"OK", b"vFlashDone": b"OK", b"vRun;": b"T05", b"vAttach;1": b"T05"}
        if packet.startswith(b"qSupported"):
            return b"PacketSize=400;qXfer:memory-map:read+"
        if packet.startswith(b"qXfer:memory-map:read::"):
            start, count = (int(word, 16) for word in packet[23:].split(b","))
            piece = self._map()[start : start + count]
            return (b"m" if start + count < len(self._map()) else b"l") + piece
        return known.get(packet, b"")

    def _map(self) -> bytes:
        flash = f'type="flash" start="{self._region.origin:#x}" length="{self._region.length:#x}"'
        block = f'<property name="blocksize">{self._block_bytes:#x}</property>'
        ram = '<memory type="ram" start="0x20000000" length="0x40000"/>'
        return f'<?xml version="1.0"?><memory-map>{ram}<memory {flash}>{block}</memory></memory-map>'.encode()

    def _monitor(self, command: str) -> list[bytes]:
        if command not in self._said:
            return [b"E01"]
        printed = self._said[command]
        return [*([b"O" + printed.encode().hex().encode()] if printed else []), b"OK"]

    def _read(self, address: int, count: int) -> bytes:
        if address in self._words:
            return self._words[address].to_bytes(4, "little").hex().encode()
        place = address - self._region.origin
        if not 0 <= place <= place + count <= len(self.flash):
            return b"E0e"
        return bytes(self.flash[place : place + count]).hex().encode()

    def _write(self, address: int, data: bytes) -> bytes:
        for place, byte in enumerate(data, address - self._region.origin):
            if not self.ignores_writes:
                self.flash[place] &= byte & (0xFE if place in self.stuck_low else 0xFF)
        return b"OK"

    def _erase(self, address: int, count: int) -> bytes:
        place = address - self._region.origin
        if place % self._block_bytes or count % self._block_bytes:
            return b"E0a"
        if not self.ignores_writes:
            self.flash[place : place + count] = b"\xff" * count
        return b"OK"


def _plain(data: bytes) -> bytes:
    parts = data.split(b"}")
    return parts[0] + b"".join(bytes([part[0] ^ 0x20]) + part[1:] for part in parts[1:])
