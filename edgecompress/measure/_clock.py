"""What a tick of the device means: executed instructions on an emulator, time on anything real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgecompress.core.device import Device

How = Literal["measured", "emulated"]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Turns ticks into instructions or microseconds, never one into the other.

    `why_missing` says by unit (`instructions`, `us`) why the device cannot give that figure.
    """

    how: How
    instrument: str
    resolution: str
    instructions_per_tick: float | None
    ticks_per_second: float | None
    why_missing: dict[str, str]

    def instructions(self, ticks: Sequence[float]) -> tuple[float, ...] | None:
        """Executed instructions, or None on a device that counts time."""
        if self.instructions_per_tick is None:
            return None
        return tuple(tick * self.instructions_per_tick for tick in ticks)

    def microseconds(self, ticks: Sequence[float]) -> tuple[float, ...] | None:
        """Microseconds, or None on an emulator."""
        if self.ticks_per_second is None:
            return None
        return tuple(tick / self.ticks_per_second * 1e6 for tick in ticks)


def how(device: Device) -> How:
    """Say how a figure of this device came about."""
    return "emulated" if device.emulated else "measured"


def of(device: Device) -> Clock:
    """Say what this device's ticks mean."""
    return _emulated(device) if device.emulated else _real(device)


def _emulated(device: Device) -> Clock:
    per_tick = device.instructions_per_tick
    counted = "an unknown number of instructions" if per_tick is None else f"{per_tick:g} instructions"
    return Clock(
        how="emulated",
        instrument=f"timer of {device.description}, one tick is {counted}",
        resolution=counted,
        instructions_per_tick=per_tick,
        ticks_per_second=None,
        why_missing={
            "instructions": f"the clock of {device.description} does not count instructions",
            "us": "an emulator counts executed instructions; only a board's own clock gives time",
        },
    )


def _real(device: Device) -> Clock:
    rate = device.describe().ticks_per_second
    return Clock(
        how="measured",
        instrument=f"clock of {device.description}, {rate:,} ticks a second",
        resolution=f"{1e6 / rate:g} us",
        instructions_per_tick=None,
        ticks_per_second=rate,
        why_missing={"instructions": "the device's clock counts time, not instructions"},
    )
