"""Run a bundle's program on a Linux board that is reached over SSH.

The address is `ssh://[user@]host[:port][/folder]`, or a host of ~/.ssh/config. The program is uploaded, proven right
over its stdin and stdout, and only then becomes the board's current version of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream, Device
from edgecompress.core.errors import ConfigError, UsageError
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _ssh_config
from edgecompress.deploy._probe import probe, refuse_wrong_board
from edgecompress.deploy._ssh_deployment import Deployment
from edgecompress.deploy._ssh_endpoint import Endpoint
from edgecompress.deploy._ssh_models import Program
from edgecompress.deploy._ssh_stream import ProgramStream


class SshLink:
    """The program speaks the protocol over the stdin and stdout of a command.

    `prefix` is executed with the program's path as its last word. `view` makes of the board what is
    looked at: an imitation answers for its core where the machine below it would tell of itself.
    """

    def __init__(
        self,
        target: Target,
        endpoint: Endpoint,
        *,
        description: str | None = None,
        emulated: bool = False,
        instructions_per_tick: float | None = None,
        prefix: Sequence[str] = (),
        view: Callable[[Board], Board] = lambda board: board,
    ) -> None:
        self.description = description or f"{target.name} at {endpoint.shown}"
        self.emulated = emulated
        self.instructions_per_tick = instructions_per_tick
        self.board: Board | None = None
        self._target = target
        self._endpoint = endpoint
        self._prefix = tuple(prefix)
        self._view = view
        self._deployment: Deployment | None = None
        self._stream: ProgramStream | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:
        """Bring the program onto the board, going on after lost connections, and start it.

        Raises ConfigError when the bundle does not hold it, UnreachableError when the board cannot be reached (any
        more) or another deployment is under way, WrongDeviceError for a changed host key or another kind of board,
        StorageError when the board's disk is full, read-only or noexec, TransferError when it damages the program.
        """
        if not bundle.program.is_file():
            raise ConfigError(f"the bundle holds no {bundle.manifest.program}", hint="compile again")
        program = Program.of(bundle.program, bundle.manifest.build_id)

        def check(board: Board, folder: str) -> None:
            # The disk is looked at later, when it is known how much of the program lies there already.
            facts = probe(self._view(board), folder)
            refuse_wrong_board(facts, self._target, program_bytes=0, ram_bytes=program.size)

        self._deployment = Deployment(self._endpoint, program, bundle.manifest.name, check)
        site, path = self._deployment.place(progress)
        self.board = self._view(site.board)
        self._stream = ProgramStream(site.connection, (*self._prefix, path))
        return self._stream

    def accept(self) -> None:
        """Make the program that was proven right the model's current version, and let others deploy."""
        if self._deployment is not None:
            self._deployment.accept()

    def close(self) -> None:
        """End the program and the connection; remove what was uploaded and not accepted. Harmless twice."""
        if self._stream is not None:
            self._stream.close()
        if self._deployment is not None:
            self._deployment.close()
        self._stream = self._deployment = self.board = None


def connect(target: Target, address: str | None = None, *, emulator_args: tuple[str, ...] = ()) -> Device:
    """Return a board as a device; nothing is connected before a bundle is installed.

    Raises UsageError without an address, for a malformed one, and for emulator arguments; ConfigError when
    ~/.ssh/config is damaged.
    """
    if address is None:
        raise UsageError(f"{target.name} is reached over SSH, at an address", hint="give it: --device ssh://pi@HOST")
    if emulator_args:
        raise UsageError(f"{target.name} is not emulated: --emulator-args means nothing there")
    return Device(SshLink(target, _ssh_config.endpoint(address)), target)
