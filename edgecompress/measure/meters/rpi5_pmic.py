"""The Raspberry Pi 5's power management chip, asked through the firmware: volts and amperes of every rail."""

from __future__ import annotations

import re

from edgecompress.core.board import Answer, Board
from edgecompress.measure.meters._meter import Meter

COMMAND = ("vcgencmd", "pmic_read_adc")
TIMEOUT_S = 5.0
READING = re.compile(r"^[ \t]*(\w+)_([AV])[ \t]+(?:current|volt)\(\d+\)=(\d{1,9}\.\d{1,20})[AV][ \t]*$", re.MULTILINE)


def find(board: Board) -> Meter | str:
    """Ask once; only a Raspberry Pi 5 answers."""
    told = board.run(COMMAND, timeout_s=TIMEOUT_S)
    why = _why_not(told)
    if why is not None:
        return why
    return Meter(
        instrument="power chip of the Raspberry Pi 5 (vcgencmd pmic_read_adc), volts times amperes of every rail",
        quantity="W",
        covers="the rails behind it: neither its own losses, nor USB devices, fan and HATs on 5 V",
        resolution="its converter's steps; nobody publishes its accuracy",
        read=lambda: _watts(board.run(COMMAND, timeout_s=TIMEOUT_S)),
    )


def _why_not(told: Answer | None) -> str | None:
    if told is None:
        return "vcgencmd is not installed there"
    if told.exit_code != 0:
        return f"vcgencmd pmic_read_adc failed with exit code {told.exit_code}: is the user in the group video?"
    if _watts(told) is None:
        return "vcgencmd pmic_read_adc tells no rail with volts and amperes: only a Raspberry Pi 5 has them"
    return None


def _watts(told: Answer | None) -> float | None:
    """Add volts times amperes of the rails that have both: EXT5V and BATT have no current."""
    if told is None or told.exit_code != 0:
        return None
    rails: dict[str, dict[str, float]] = {}
    for rail, unit, value in READING.findall(told.stdout.decode("utf-8", "replace")):
        rails.setdefault(rail, {})[unit] = float(value)
    products = [rail["V"] * rail["A"] for rail in rails.values() if len(rail) == 2]
    return sum(products) if products else None
