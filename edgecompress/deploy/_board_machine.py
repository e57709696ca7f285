"""A virtual board that runs: QEMU with Debian's arm64 kernel, whose SSH server answers on a port of this machine."""

from __future__ import annotations

import time
from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.errors import UnreachableError
from edgecompress.deploy import _board_cpio, _board_keys
from edgecompress.deploy._board_image import Image
from edgecompress.deploy._board_keys import HOST, Keys
from edgecompress.deploy._board_scratch import Scratch, refused_writes_explained
from edgecompress.deploy._child import Child
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy.qemu import COUNT_INSTRUCTIONS, UART_ON_STDIN_SOCKET

PROGRAM = "qemu-system-aarch64"
USER = "pi"
FOLDER = "edgecompress"
RAM_MIB = 512
SSH_PORT = 22
BOOT_TIMEOUT_S = 120.0
LAST_LINES = 5

READY = b"the virtual board is ready"

HEADLESS = ("-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot")
KERNEL_WORDS = "console=ttyAMA0 quiet"


class Machine:
    """The emulator as a child process. It ends with `close`, and with this process, whatever ends that.

    A nanosecond of the board's time is one instruction, as on the bare boards. Where it is idle, its time passes as it
    does outside (sleep=on, the default): with sleep=off, minutes of it pass during a login.
    """

    def __init__(self, image: Image, cpu: str, emulator_args: tuple[str, ...]) -> None:
        """Start it and wait until its SSH server answers.

        Raises MissingToolError without QEMU, UnreachableError when the emulator ends or the board is not up in time,
        StorageError when its folder cannot be written.
        """
        with refused_writes_explained():
            self._scratch = Scratch()
        self._image = image
        self._cpu = cpu
        self._emulator_args = emulator_args
        self._child: Child | None = None
        try:
            with refused_writes_explained():
                self.endpoint = self._boot()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Switch it off; harmless twice."""
        if self._child is not None:
            self._child.close()
            self._child = None
        self._scratch.remove()

    def _boot(self) -> Endpoint:
        keys = _board_keys.make_keys(self._scratch.folder)
        initrd = self._write_root(keys)
        port = _board_keys.free_port()
        self._child = Child(self._command(initrd, port), name="the virtual board", stdout_is_stream=False)
        _wait_until_ready(self._child)
        initrd.unlink()
        return keys.endpoint(USER, port, FOLDER)

    def _write_root(self, keys: Keys) -> Path:
        """Put the image's root and, behind it, this boot's keys into one file."""
        own = _board_cpio.archive(
            {
                "etc/ssh/host_key": (0o600, keys.host_key.read_bytes()),
                "etc/ssh/authorized_keys": (0o644, keys.authorized.read_bytes()),
            }
        )
        path = keys.folder / "root.cpio"
        path.write_bytes(self._image.root.read_bytes() + own)
        return path

    def _command(self, initrd: Path, port: int) -> list[str | Path]:
        board = ("-machine", "virt", "-cpu", self._cpu, "-smp", "1", "-m", str(RAM_MIB))
        system = ("-kernel", self._image.kernel, "-initrd", initrd, "-append", KERNEL_WORDS)
        # restrict: the board sees no network but this one connection.
        forward = f"user,id=net,restrict=on,hostfwd=tcp:{HOST}:{port}-:{SSH_PORT}"
        network = ("-netdev", forward, "-device", "virtio-net-device,netdev=net", "-device", "virtio-rng-device")
        console = (*HEADLESS, *UART_ON_STDIN_SOCKET)
        return [tools.locate(PROGRAM), *board, *system, *console, *network, *COUNT_INSTRUCTIONS, *self._emulator_args]


def _wait_until_ready(console: Child) -> None:
    """Read what the board says on its console, up to the line that its first process ends with.

    Knocking at its port instead would cost it time: QEMU accepts connections long before there is a server.
    """
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    said = b""
    while READY not in said:
        left_s = deadline - time.monotonic()
        if left_s < 0.0:
            lines = said.decode(errors="replace").strip().splitlines()[-LAST_LINES:]
            raise UnreachableError(
                f"the virtual board was not up after {BOOT_TIMEOUT_S:g} s",
                hint="\n".join(["its last words:", *lines]) if lines else "is this machine very busy? try again",
            )
        said += console.read(left_s)
