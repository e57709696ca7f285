"""A TCP proxy between a GDB client and its server that does something to the n-th answer, and a running QEMU."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgecompress.core.target import Target

PACKET = re.compile(rb"\$([^#]*)#([0-9a-fA-F]{2})", re.DOTALL)
START_S = 10.0

Fault = Callable[[int, bytes, bytes], bytes | None]
"""Number of the answer, the request's payload, the answer's payload -> the bytes to send; None ends the connection."""


def packet(payload: bytes) -> bytes:
    return b"$" + payload + b"#%02x" % (sum(payload) % 256)


def unchanged(number: int, request: bytes, answer: bytes) -> bytes | None:
    return packet(answer)


class FaultyGdbProxy:
    """Passes packets on, each answer through `fault`; `answers` counts those of all connections."""

    def __init__(self, port: int, fault: Fault = unchanged) -> None:
        self.fault = fault
        self.answers = 0
        self.connections = 0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=8)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def begin(self, fault: Fault) -> None:
        self.fault, self.answers, self.connections = fault, 0, 0

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._to), 5) as server:
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            requests = [b""]
            threading.Thread(target=self._forward, args=(client, server, requests), daemon=True).start()
            pending = b""
            while data := server.recv(65536):
                pending += data
                while found := PACKET.search(pending):
                    client.sendall(pending[: found.start()])
                    pending = pending[found.end() :]
                    changed = self.fault(self.answers, requests[0], found[1])
                    self.answers += 1
                    if changed is None:
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    client.sendall(changed)
                if b"$" not in pending:
                    client.sendall(pending)
                    pending = b""

    def _forward(self, client: socket.socket, server: socket.socket, requests: list[bytes]) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                pending += data
                while found := PACKET.search(pending):
                    requests[0] = found[1]
                    pending = pending[found.end() :]
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running_qemu(target: Target, *words: str | Path, serial: str = "pty") -> Iterator[int]:
    """Start the target's emulator with a debug server, halted, its UART on a pty or what `serial` says; the port."""
    assert target.emulator is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    command = [target.emulator.program, "-machine", target.emulator.machine, "-display", "none", "-monitor", "none"]
    command += ["-nic", "none", "-serial", serial, "-gdb", f"tcp:127.0.0.1:{port}", "-S", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return
