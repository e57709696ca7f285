"""Power monitors that the kernel drives: INA219 and their like, which tell power, and INA3221, which tells its factors.

Files and units: the kernel's Documentation/hwmon/sysfs-interface.rst, ina2xx.rst and ina3221.rst.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgecompress.core import linux
from edgecompress.core.board import Board
from edgecompress.measure.meters._meter import Meter

POWER_CHIPS = ("ina209", "ina219", "ina220", "ina226", "ina230", "ina231", "ina234", "ina237", "ina238", "ina260")
CHANNEL_CHIPS = ("ina3221",)
INPUT_LABEL = re.compile(r"(^|_)(VIN|IN)(_|$)", re.IGNORECASE)
"""A channel that feeds the others, as VDD_IN: to add the others would count them twice."""


@dataclass(frozen=True, kw_only=True)
class _Channel:
    """One rail of an INA3221."""

    label: str
    volts: str
    amperes: str


def find(board: Board) -> Meter | str:
    """Find the one power monitor of the board by its name."""
    power_chips, channel_chips = linux.sensors(board, *POWER_CHIPS), linux.sensors(board, *CHANNEL_CHIPS)
    chips = (*power_chips, *channel_chips)
    if not chips:
        return "no INA219, INA226 or INA3221 is known to the kernel (/sys/class/hwmon)"
    if len(chips) > 1:
        return f"{', '.join(_named(board, chip) for chip in chips)}: which of them feeds the board is not known"
    return _power_meter(board, chips[0]) if power_chips else _channel_meter(board, chips[0])


def _power_meter(board: Board, chip: str) -> Meter | str:
    name = _named(board, chip)
    if linux.number(board, f"{chip}/power1_input") is None:
        return f"{name} gives no power1_input"
    return Meter(
        instrument=f"{name}, power1_input",
        quantity="W",
        covers="what hangs behind its shunt",
        resolution=f"steps of its power register{_interval(board, chip)}; {_shunt(board, chip)}",
        read=lambda: _scaled(linux.number(board, f"{chip}/power1_input"), 1e-6),
    )


def _channel_meter(board: Board, chip: str) -> Meter | str:
    name = _named(board, chip)
    channels = _channels(board, chip)
    if not channels:
        return f"{name} has no channel with voltage and current"
    return Meter(
        instrument=f"{name}, voltage times current of {', '.join(channel.label for channel in channels)}",
        quantity="W",
        covers="what hangs behind these channels' shunts",
        resolution=f"8 mV times the step of the current{_interval(board, chip)}; the shunts' tolerance comes on top",
        read=lambda: _product(board, channels),
    )


def _channels(board: Board, chip: str) -> tuple[_Channel, ...]:
    numbers = [n for n in (1, 2, 3) if linux.number(board, f"{chip}/in{n}_enable") != 0]
    channels = [
        _Channel(
            label=linux.text(board, f"{chip}/in{n}_label") or f"channel {n}",
            volts=f"{chip}/in{n}_input",
            amperes=f"{chip}/curr{n}_input",
        )
        for n in numbers
        if linux.number(board, f"{chip}/in{n}_input") is not None
        and linux.number(board, f"{chip}/curr{n}_input") is not None
    ]
    feeding = [channel for channel in channels if INPUT_LABEL.search(channel.label)]
    return tuple(feeding[:1] or channels)


def _product(board: Board, channels: tuple[_Channel, ...]) -> float | None:
    """The sum of millivolts times milliamperes, in watts; None as soon as one of them is missing."""
    watts = 0.0
    for channel in channels:
        millivolts, milliamperes = linux.number(board, channel.volts), linux.number(board, channel.amperes)
        if millivolts is None or milliamperes is None:
            return None
        watts += millivolts * milliamperes * 1e-6
    return watts


def _named(board: Board, chip: str) -> str:
    return f"{(linux.text(board, f'{chip}/name') or '').upper()} ({chip.rsplit('/', 1)[-1]})"


def _interval(board: Board, chip: str) -> str:
    """An INA226 or INA3221 says how long it averages, in milliseconds."""
    interval = linux.number(board, f"{chip}/update_interval")
    return f", averaged over {interval} ms" if interval else ""


def _shunt(board: Board, chip: str) -> str:
    """The driver multiplies by the shunt that it was told of: another one on the board scales every figure."""
    microohms = linux.number(board, f"{chip}/shunt_resistor")
    told = f", {microohms / 1000:g} mΩ by the driver's setting," if microohms else ""
    return f"the tolerance of its shunt{told} comes on top"


def _scaled(count: int | None, unit: float) -> float | None:
    return None if count is None else count * unit
