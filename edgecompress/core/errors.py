"""One tree of errors. Each carries the exit code of the command line and a hint: what to do next."""

from __future__ import annotations


class EdgecompressError(Exception):
    """A failure that the user can act on. `message` states the fact, `hint` the next step.

    `figures` is what was found all the same: --json prints it beside the error.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.figures: dict[str, object] = {}


class StorageError(EdgecompressError):
    """A file or folder could not be written or read: a full disk, missing permission."""


class ToolFailedError(EdgecompressError):
    """An outside program was found and started, and failed."""


class UsageError(EdgecompressError):
    """The command line itself is wrong."""

    exit_code = 2


class ConfigError(EdgecompressError):
    """A recipe, a target profile, a run folder or the data they name is wrong."""

    exit_code = 3


class ModelError(EdgecompressError):
    """The model is damaged, not allowed, or holds something that cannot be compiled."""

    exit_code = 4


class DoesNotFitError(EdgecompressError):
    """The network needs more flash or RAM than the target offers."""

    exit_code = 5


class QualityError(EdgecompressError):
    """A limit of the recipe (accuracy, RAM, flash, latency) was missed."""

    exit_code = 6


class UnreachableError(EdgecompressError):
    """The device gave no sense-making answer before the deadline."""

    exit_code = 7


class WrongDeviceError(EdgecompressError):
    """The device answers, but it is not the one, or not running the program, that was meant."""

    exit_code = 8


class TransferError(EdgecompressError):
    """What the device holds or computes is not what was sent."""

    exit_code = 9


class MissingToolError(EdgecompressError):
    """An outside program is not installed. The hint names the package that brings it."""

    exit_code = 13


class InterruptedRunError(EdgecompressError):
    """The user pressed Ctrl-C; finished stages are kept."""

    exit_code = 130
