"""The GDB remote serial protocol, from its manual: packets, memory, flash, registers, monitor commands.

Source: Debugging with GDB, appendix "Remote Protocol". A packet is `$payload#checksum`, the sum of the payload's bytes
modulo 256; each side acknowledges with `+`, or asks for it again with `-`. Acknowledgements stay on: they are what
finds a damaged packet on a serial line. Every wait has a deadline. When an answer is lost the connection is of no more
use, for answers carry no numbers: the caller connects anew.
"""

from __future__ import annotations

import re
import time

from edgecompress.core.errors import TransferError, UnreachableError
from edgecompress.deploy._tcp_stream import ClosableStream

ANSWER_S = 5.0
RESENDS = 3
LEAST_PACKET_BYTES = 64
USUAL_PACKET_BYTES = 400
"""What GDB itself assumes of a server that does not say."""

LARGEST_PACKET_BYTES = 0x4000
ROOM_FOR_COMMAND = 32

_SPECIAL = b"#$}*"
_ERROR = re.compile(rb"E[0-9a-fA-F]{2}|E\..*", re.DOTALL)


class GdbRemote:
    """A conversation with a debug server; `description` is how errors call it."""

    def __init__(self, stream: ClosableStream, description: str) -> None:
        self.description = description
        self._stream = stream
        self._pending = bytearray()
        self._packet_bytes = USUAL_PACKET_BYTES
        self._features: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Ask what the server can do, and why the core stands still."""
        told = self.ask(b"qSupported:xmlRegisters=arm").decode("ascii", "replace").split(";")
        self._features = frozenset(word.removesuffix("+") for word in told if word.endswith("+"))
        for word in told:
            name, _, value = word.partition("=")
            if name == "PacketSize" and re.fullmatch("[0-9a-fA-F]+", value):
                self._packet_bytes = max(min(int(value, 16), LARGEST_PACKET_BYTES), LEAST_PACKET_BYTES)
        self.ask(b"?")

    def has(self, feature: str) -> bool:
        """True when qSupported named the feature."""
        return feature in self._features

    def read_object(self, name: str, annex: str = "") -> str:
        """Read a document (`features`, `memory-map`) piece by piece. Raises TransferError when it is refused."""
        text = b""
        while True:
            piece = self.ask(f"qXfer:{name}:read:{annex}:{len(text):x},{self._data_bytes:x}".encode())
            if piece[:1] not in (b"m", b"l"):
                raise TransferError(f"{self.description} does not tell its {name}: {_in_words(piece)}")
            text += piece[1:]
            if piece[:1] == b"l" or not piece[1:]:
                return text.decode("utf-8", "replace")

    def monitor(self, command: str, *, timeout_s: float | None = None) -> str:
        """Have the server execute a command of its own; return what it printed. Raises TransferError when refused."""
        printed: list[bytes] = []
        end = self.ask(b"qRcmd," + command.encode().hex().encode(), timeout_s=timeout_s, printed=printed)
        if end != b"OK":
            if not end or _ERROR.fullmatch(end):
                raise TransferError(f"{self.description} refused the command {command!r}: {_in_words(end)}")
            printed.append(_from_hex(end))
        return b"".join(printed).decode("utf-8", "replace")

    def read_memory(self, address: int, count: int) -> bytes:
        """Read bytes. Raises TransferError where there are none."""
        data = b""
        while len(data) < count:
            step = min(count - len(data), self._data_bytes)
            answer = self.ask(f"m{address + len(data):x},{step:x}".encode())
            part = b"" if _ERROR.fullmatch(answer) else _from_hex(answer)
            if not 0 < len(part) <= step:
                raise TransferError(
                    f"{self.description} cannot read {step} bytes at {address + len(data):#x}: {_in_words(answer)}"
                )
            data += part
        return data

    def read_word(self, address: int) -> int | None:
        """Read a little-endian word; None when nothing answers at that address."""
        try:
            return int.from_bytes(self.read_memory(address, 4), "little")
        except TransferError:
            return None

    def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes into RAM, or into what the server treats like RAM. Raises TransferError when it refuses."""
        step = self._data_bytes
        for start in range(0, len(data), step):
            part = data[start : start + step]
            command = f"M{address + start:x},{len(part):x}:".encode() + part.hex().encode()
            self._expect_ok(command, f"write {len(part)} bytes at {address + start:#x}", ANSWER_S)

    def erase_flash(self, address: int, count: int, *, timeout_s: float) -> None:
        """Erase whole blocks of flash. Raises TransferError when the server refuses."""
        self._expect_ok(
            f"vFlashErase:{address:x},{count:x}".encode(), f"erase {count:,} bytes at {address:#x}", timeout_s
        )

    def write_flash(self, address: int, data: bytes, *, timeout_s: float) -> None:
        """Hand over what goes into erased flash; it is there after `finish_flash`."""
        step = self._data_bytes
        for start in range(0, len(data), step):
            part = data[start : start + step]
            command = f"vFlashWrite:{address + start:x}:".encode() + _escaped(part)
            self._expect_ok(command, f"write {len(part)} bytes of flash at {address + start:#x}", timeout_s)

    def finish_flash(self, *, timeout_s: float) -> None:
        """Wait until everything is in flash. Raises TransferError when the server says that it failed."""
        self._expect_ok(b"vFlashDone", "finish writing flash", timeout_s)

    def write_register(self, number: int, value: int) -> None:
        """Write a 32-bit register by its number in the server's description. Raises TransferError when refused."""
        command = f"P{number:x}=".encode() + value.to_bytes(4, "little").hex().encode()
        self._expect_ok(command, f"write register {number}", ANSWER_S)

    def go(self) -> None:
        """Let the core run. Its next stop is not waited for."""
        self._send(b"c", time.monotonic() + ANSWER_S)

    def close(self) -> None:
        """Drop the connection; harmless twice."""
        self._stream.close()

    def ask(self, payload: bytes, *, timeout_s: float | None = None, printed: list[bytes] | None = None) -> bytes:
        """Send a packet, return the answer's payload; empty when the server does not know the packet.

        What it prints meanwhile (`O` packets) goes into `printed`. Raises UnreachableError when no whole answer comes
        in `timeout_s`, ANSWER_S when None.
        """
        deadline = time.monotonic() + (ANSWER_S if timeout_s is None else timeout_s)
        self._send(payload, deadline)
        while True:
            answer = self._receive(deadline, resends=RESENDS if printed is None else 0)
            if answer[:1] != b"O" or answer == b"OK":
                return answer
            if printed is not None:
                printed.append(_from_hex(answer[1:]))

    @property
    def _data_bytes(self) -> int:
        """Bytes that travel in one packet as two digits each, a multiple of 4."""
        return (self._packet_bytes - ROOM_FOR_COMMAND) // 2 // 4 * 4

    def _expect_ok(self, command: bytes, what: str, timeout_s: float) -> None:
        answer = self.ask(command, timeout_s=timeout_s)
        if answer != b"OK":
            raise TransferError(f"{self.description} did not {what}: {_in_words(answer)}")

    def _send(self, payload: bytes, deadline: float) -> None:
        """Send a packet until the server has taken it whole."""
        packet = b"$" + payload + b"#%02x" % (sum(payload) % 256)
        for _ in range(1 + RESENDS):
            self._stream.write(packet, max(deadline - time.monotonic(), 0.0))
            if self._is_acknowledged(deadline):
                return
        raise UnreachableError(f"{self.description} gets damaged packets", hint="is the line to it noisy?")

    def _is_acknowledged(self, deadline: float) -> bool:
        """Wait for `+` or `-`. What lies in front of it is of an earlier exchange, and is passed over."""
        while True:
            while self._pending:
                if self._pending[0] in b"+-":
                    return self._take(1) == b"+"
                if self._pending[0] in b"$%":
                    end = self._end_of_packet()
                    if end is None:
                        break
                    self._take(end)
                else:
                    self._take(1)
            self._read_more(deadline)

    def _receive(self, deadline: float, *, resends: int) -> bytes:
        """Wait for a whole packet, asking for a damaged one again; notifications (`%`) are passed over.

        While a server prints, several packets are on their way, and it would send the last of them again: no `resends`.
        """
        for left in range(resends, -1, -1):
            packet = self._next_packet(deadline)
            payload = packet[1:-3]
            if re.fullmatch(rb"[0-9a-fA-F]{2}", packet[-2:]) and sum(payload) % 256 == int(packet[-2:], 16):
                self._stream.write(b"+", max(deadline - time.monotonic(), 0.0))
                return _decoded(payload)
            if left:
                self._stream.write(b"-", max(deadline - time.monotonic(), 0.0))
        raise UnreachableError(f"{self.description} sends damaged packets", hint="is the line to it noisy?")

    def _next_packet(self, deadline: float) -> bytes:
        while True:
            starts = [place for mark in (b"$", b"%") if (place := self._pending.find(mark)) >= 0]
            if starts:
                self._take(min(starts))
                end = self._end_of_packet()
                if end is not None:
                    packet = self._take(end)
                    if packet[:1] == b"$":
                        return packet
                    continue
            self._read_more(deadline)

    def _end_of_packet(self) -> int | None:
        place = self._pending.find(b"#")
        return place + 3 if 0 <= place <= len(self._pending) - 3 else None

    def _take(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken

    def _read_more(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise UnreachableError(
                f"{self.description} did not answer in time", hint="does it still run, and is its target connected?"
            )
        self._pending += self._stream.read(left)
        if len(self._pending) > 4 * LARGEST_PACKET_BYTES:
            raise UnreachableError(f"{self.description} sends no packets", hint="is this the port of a debug server?")


def _escaped(data: bytes) -> bytes:
    """Binary data in a packet: `}` and the byte with bit 5 turned, for bytes that mean something there."""
    return b"".join(b"}%c" % (byte ^ 0x20) if byte in _SPECIAL else b"%c" % byte for byte in data)


def _decoded(payload: bytes) -> bytes:
    """Undo escapes, and run lengths: `x*n` is one x, and as many more as n's code less 29."""
    if b"*" not in payload and b"}" not in payload:
        return payload
    plain = bytearray()
    rest = iter(payload)
    for byte in rest:
        if byte == ord("}"):
            plain.append(next(rest, 0) ^ 0x20)
        elif byte == ord("*") and plain:
            plain += plain[-1:] * max(next(rest, 29) - 29, 0)
        else:
            plain.append(byte)
    return bytes(plain)


def _from_hex(digits: bytes) -> bytes:
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return b""


def _in_words(answer: bytes) -> str:
    return f"it answered {answer.decode('ascii', 'replace')[:60]!r}" if answer else "it does not know that packet"
