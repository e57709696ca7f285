"""Run a bundle's program as on another board: a real SSH server on this machine, and qemu-user for the program.

The address is `loop://PROFILE`, as `loop://rpi-zero`. It is ready in a second and runs every Linux profile's programs;
an instruction that the profile's core lacks traps. The kernel is this machine's: time and memory mean nothing there.
What was deployed stays in the user's cache. On a machine of the profile's own kind, a program that starts itself anew
(after a fault) leaves the emulator.
"""

from __future__ import annotations

from pathlib import Path

from edgecompress.core import target as targets
from edgecompress.core.device import Device
from edgecompress.core.errors import UsageError
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _board_image, _board_imitation
from edgecompress.deploy._board_link import BoardLink
from edgecompress.deploy._board_server import Server
from edgecompress.deploy._board_view import LoopBoard
from edgecompress.deploy.ssh import SshLink


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return the virtual board as a device; its SSH server starts when a bundle is installed.

    `emulator_args` go to qemu-user. Raises UsageError without the name of a Linux profile.
    """
    if address is None:
        raise UsageError("loop:// names no board", hint=f"give a profile: --device loop://{target.name}")
    board = targets.load(address)
    core = _board_imitation.core_of(board)
    folder = _board_image.cache_folder() / "loop" / board.name
    description = f"loop://{board.name} ({core.qemu_cpu}, emulated by qemu-user on this machine's kernel)"

    def switch_on(progress: Progress) -> tuple[Server, SshLink]:
        del progress
        emulator: list[str | Path] = [_board_imitation.locate_emulator(board), "-cpu", core.qemu_cpu, *emulator_args]
        server = Server(emulator, _board_imitation.qemu_machine(board), folder)
        ssh = SshLink(
            target,
            server.endpoint,
            description=description,
            emulated=True,
            prefix=(str(server.runner),),
            view=lambda inner: LoopBoard(board, inner),
        )
        return server, ssh

    return Device(BoardLink(description, None, switch_on), target)
