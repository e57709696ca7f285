"""core/errors: every error has its own exit code, a message and a hint."""

from __future__ import annotations

from edgecompress.core import errors
from edgecompress.core.errors import EdgecompressError

EXIT_CODES = {
    "EdgecompressError": 1,
    "StorageError": 1,
    "ToolFailedError": 1,
    "UsageError": 2,
    "ConfigError": 3,
    "ModelError": 4,
    "DoesNotFitError": 5,
    "QualityError": 6,
    "UnreachableError": 7,
    "WrongDeviceError": 8,
    "TransferError": 9,
    "MissingToolError": 13,
    "InterruptedRunError": 130,
}


def test_exit_codes_are_the_documented_ones() -> None:
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]

    assert {kind.__name__: kind.exit_code for kind in classes} == EXIT_CODES


def test_every_error_is_an_edgecompress_error_with_message_and_hint() -> None:
    for name in EXIT_CODES:
        error = getattr(errors, name)("what", hint="do this")

        assert isinstance(error, EdgecompressError)
        assert (str(error), error.message, error.hint) == ("what", "what", "do this")


def test_the_hint_may_be_missing() -> None:
    assert EdgecompressError("what").hint is None
