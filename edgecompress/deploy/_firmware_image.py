"""What of a firmware's ELF file lies in flash, held against the memory of the target's profile."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

from edgecompress.core.errors import ConfigError, WrongDeviceError
from edgecompress.core.target import Memory, Region, Target
from edgecompress.deploy.flashers import Image, Segment

VECTORS = struct.Struct("<II")


def read(elf: Path, target: Target) -> Image:
    """Read the segments that are loaded, by where they lie in flash (physical addresses).

    Raises ConfigError when the file is none or damaged, WrongDeviceError when a segment lies outside of the target's
    flash or the vector table names no stack in its RAM and no start in its flash.
    """
    segments = _load_segments(elf)
    if target.memory is None:
        raise WrongDeviceError(f"{target.name} has no flash of its own: nothing can be flashed there")
    for segment in segments:
        if not _within(segment.region, target.memory.flash):
            raise WrongDeviceError(
                f"{elf.name} writes {len(segment.data):,} bytes at {segment.address:#010x}; the flash of {target.name} "
                f"is {_range(target.memory.flash)}",
                hint="nothing was written; compile for this target",
            )
    image = Image(elf=elf, segments=segments)
    _check_vectors(image, target, target.memory)
    return image


def vectors(image: Image, boot_bytes: int = 0) -> tuple[int, int]:
    """Return the first stack pointer, and the address to start at with bit 0 set; `boot_bytes` lie before them."""
    stack, start = VECTORS.unpack_from(image.segments[0].data, boot_bytes)
    return stack, start


def _load_segments(elf: Path) -> tuple[Segment, ...]:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with elf.open("rb") as file:
            found = [
                Segment(address=segment["p_paddr"], data=segment.data())
                for segment in ELFFile(file).iter_segments("PT_LOAD")
                if segment["p_filesz"]
            ]
    except (ELFError, OSError) as error:
        raise ConfigError(f"{elf} is no firmware: {error}", hint="compile again") from error
    found.sort(key=lambda segment: segment.address)
    for before, after in itertools.pairwise(found):
        if before.region.overlaps(after.region):
            raise ConfigError(f"{elf} has two segments at {after.address:#010x}", hint="compile again")
    if not found or len(found[0].data) < VECTORS.size:
        raise ConfigError(f"{elf} holds nothing to be flashed", hint="compile again")
    return tuple(found)


def _check_vectors(image: Image, target: Target, memory: Memory) -> None:
    flash, ram, name = memory.flash, memory.ram, target.name
    if len(image.segments[0].data) < target.boot_bytes + VECTORS.size:
        raise ConfigError(f"{image.elf} ends before its vector table", hint="compile again")
    stack, start = vectors(image, target.boot_bytes)
    if not ram.origin < stack <= ram.end:
        raise WrongDeviceError(
            f"{image.elf.name} begins with a stack at {stack:#010x}; the RAM of {name} is {_range(ram)}",
            hint="nothing was written; compile for this target",
        )
    if not start & 1 or not flash.origin <= start < flash.end:
        raise WrongDeviceError(
            f"{image.elf.name} starts at {start:#010x}; the flash of {name} is {_range(flash)}",
            hint="nothing was written; compile for this target",
        )


def _within(part: Region, whole: Region) -> bool:
    return whole.origin <= part.origin and part.end <= whole.end


def _range(region: Region) -> str:
    return f"{region.origin:#010x} to {region.end - 1:#010x}"
