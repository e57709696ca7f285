"""What every meter is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Meter:
    """A power meter, or a counter of energy.

    `read` gives watts, or joules that only grow; None when the instrument does not answer any more. `covers` says
    which consumers it sees, `resolution` its smallest step and what else limits it.
    """

    instrument: str
    quantity: Literal["W", "J"]
    covers: str
    resolution: str
    read: Callable[[], float | None]
