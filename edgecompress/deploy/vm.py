"""Run a bundle's program on a virtual board: a 64-bit Arm Linux system that QEMU emulates, reached over SSH.

The address is `vm://PROFILE`, as `vm://rpi4`. The board has one core, 512 MiB and Debian's kernel; its clock counts
instructions. It is built once (deploy/_board_image), starts anew for every connection, and forgets everything at its
end.
"""

from __future__ import annotations

from edgecompress.core import target as targets
from edgecompress.core import tools
from edgecompress.core.device import Device
from edgecompress.core.errors import UsageError
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _board_image, _board_imitation
from edgecompress.deploy._board_link import BoardLink
from edgecompress.deploy._board_machine import PROGRAM, Machine
from edgecompress.deploy.ssh import SshLink

INSTRUCTIONS_PER_TICK = 1.0
"""A tick of a Linux program is a nanosecond, and so is an instruction. About 0.1 % of them are the kernel's own."""


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return the virtual board as a device; it is started, and built, when a bundle is installed.

    Raises UsageError without the name of a 64-bit Arm profile.
    """
    board = _board(target, address)
    cpu = _board_imitation.core_of(board).qemu_cpu
    description = f"vm://{board.name} ({cpu}, emulated by {PROGRAM} with Debian's kernel)"

    def switch_on(progress: Progress) -> tuple[Machine, SshLink]:
        tools.locate(PROGRAM)  # before a minute is spent on the image
        machine = Machine(_board_image.find_or_build(progress), cpu, emulator_args)
        ssh = SshLink(
            target,
            machine.endpoint,
            description=description,
            emulated=True,
            instructions_per_tick=INSTRUCTIONS_PER_TICK,
        )
        return machine, ssh

    return Device(BoardLink(description, INSTRUCTIONS_PER_TICK, switch_on), target)


def _board(target: Target, address: str | None) -> Target:
    if address is None:
        raise UsageError("vm:// names no board", hint=f"give a profile: --device vm://{target.name}")
    board = targets.load(address)
    if board.machine != "aarch64":
        raise UsageError(
            f"vm:// boots a 64-bit Arm system, and {board.name} is {board.machine or 'a board without Linux'}",
            hint=f"--device loop://{board.name} runs its programs by qemu-user" if board.machine else None,
        )
    return board
