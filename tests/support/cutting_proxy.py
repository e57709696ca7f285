"""A TCP proxy on 127.0.0.1 that does something at an exact byte of what a client sends."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

BLOCK_BYTES = 65536


class CuttingProxy:
    """Passes everything on; `at_byte` counts what clients sent over all connections since `reset`.

    At that byte it calls `action`, and the client's connection ends there: not one byte more is passed on. When it is
    `silent` the connection stays open, and nothing comes through any more, either way.
    """

    def __init__(self, port: int) -> None:
        self.sent = 0
        self.connections = 0
        self._to = port
        self._at_byte: int | None = None
        self._action: Callable[[], None] = lambda: None
        self._silent = False
        self._muted = threading.Event()
        self._turn = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(
        self, at_byte: int | None = None, action: Callable[[], None] = lambda: None, *, silent: bool = False
    ) -> None:
        """Begin to count anew."""
        with self._turn:
            self.sent = self.connections = 0
            self._at_byte, self._action, self._silent = at_byte, action, silent
            self._muted.clear()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self._to), 5)
            except OSError:
                return
            with server:
                threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
                with contextlib.suppress(OSError):
                    while data := client.recv(BLOCK_BYTES):
                        whole = self._take(data)
                        server.sendall(whole)
                        if len(whole) < len(data):
                            self._end_or_fall_silent(client)
                            break
                _end(client)
                _end(server)

    def _take(self, data: bytes) -> bytes:
        """Count the data; return the part before the byte at which the line is cut."""
        with self._turn:
            left = len(data) + 1 if self._at_byte is None else max(self._at_byte - self.sent, 0)
            self.sent += min(left, len(data))
            if left < len(data):
                self._at_byte = None
            return data[:left]

    def _end_or_fall_silent(self, client: socket.socket) -> None:
        if self._silent:
            self._muted.set()
            while client.recv(BLOCK_BYTES):
                continue
        self._action()

    def _pump(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(BLOCK_BYTES):
                if not self._muted.is_set():
                    client.sendall(data)
        _end(client)


def _end(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
