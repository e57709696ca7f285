"""The memory map of a debug server: which addresses are flash, and in what blocks it is erased.

Source: Debugging with GDB, "Memory Map Format". Addresses that the map leaves out are written like RAM.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

from edgecompress.core.errors import TransferError
from edgecompress.core.target import Region


@dataclass(frozen=True, kw_only=True)
class FlashRegion:
    """Flash of one size of blocks."""

    region: Region
    block_bytes: int

    def blocks(self, part: Region) -> Region:
        """The whole blocks that a part of this region touches."""
        start = part.origin - (part.origin - self.region.origin) % self.block_bytes
        end = part.end + (self.region.origin - part.end) % self.block_bytes
        return Region(origin=start, length=min(end, self.region.end) - start)

    def cut(self, part: Region) -> Region | None:
        """The piece of a part that lies in this region."""
        start, end = max(part.origin, self.region.origin), min(part.end, self.region.end)
        return Region(origin=start, length=end - start) if start < end else None


def parse(text: str) -> tuple[FlashRegion, ...]:
    """Read the flash off a server's map. Raises TransferError when it is no map."""
    if "<!ENTITY" in text:
        raise TransferError("the debug server's memory map defines entities: it is not read")
    try:
        root = ET.fromstring(text)  # noqa: S314 (no entities, see above; nothing else in it is followed)
        return tuple(_flash(memory) for memory in root.iter("memory") if memory.get("type") == "flash")
    except (ET.ParseError, ValueError, TypeError) as error:
        raise TransferError(f"the debug server's memory map cannot be read: {error}") from error


def blocks_of(flash: Sequence[FlashRegion], parts: Sequence[Region]) -> tuple[Region, ...]:
    """The blocks that hold any of the parts, each once: neighbours are joined, in the order of their addresses."""
    touched = [region.blocks(piece) for region in flash for part in parts if (piece := region.cut(part)) is not None]
    joined: list[Region] = []
    for each in sorted(touched, key=lambda region: region.origin):
        if joined and each.origin <= joined[-1].end:
            end = max(each.end, joined[-1].end)
            joined[-1] = Region(origin=joined[-1].origin, length=end - joined[-1].origin)
        else:
            joined.append(each)
    return tuple(joined)


def _flash(memory: ET.Element) -> FlashRegion:
    size = next((each.text or "" for each in memory.iter("property") if each.get("name") == "blocksize"), "")
    numbers = [_number(memory.get("start") or ""), _number(memory.get("length") or ""), _number(size)]
    return FlashRegion(region=Region(origin=numbers[0], length=numbers[1]), block_bytes=max(numbers[2], 1))


def _number(text: str) -> int:
    if not re.fullmatch(r"\s*(0[xX][0-9a-fA-F]+|[0-9]+)\s*", text):
        raise ValueError(f"{text!r} is no number")
    return int(text, 0)
