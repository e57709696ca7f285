"""What is attached to this machine: serial ports, debug probes, bootloaders; and who answers there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecompress.core import target as targets

if TYPE_CHECKING:
    from edgecompress.core.target import Target
    from edgecompress.deploy._attached import Attached, Greeting


def look() -> tuple[Attached, ...]:
    """List what is attached, with the shipped targets that it could be. Opens nothing."""
    from edgecompress.deploy import _attached

    return _attached.look(_shipped())


def say_hello(address: str | None, chosen: Target | None) -> Greeting:
    """Ask the board at a `serial://` address, or the only one of a target, what runs there."""
    from edgecompress.deploy import _attached

    return _attached.say_hello(address, chosen, _shipped())


def _shipped() -> list[Target]:
    return [targets.load(name) for name in targets.names()]
