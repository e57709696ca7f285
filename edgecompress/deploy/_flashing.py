"""The one sequence by which a firmware gets onto a board, whatever tool does it.

    bundle, code and memory against the profile -> chip against both -> write -> read back -> console -> reset

Everything up to the chip happens before the first erase. The caller then asks the firmware for hello (core/device.py):
only its build id, and the test vectors that it reproduces, make it a success. When the connection to the tool is lost
the sequence begins again, ATTEMPTS times in all; what is wrong (a chip, a byte that was read back) is not tried twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from edgecompress.core.bundle import Bundle
from edgecompress.core.errors import TransferError, UnreachableError, UsageError
from edgecompress.core.flash_record import Proof
from edgecompress.core.target import Target
from edgecompress.core.values import Progress
from edgecompress.deploy import _chip_identity, _console, _firmware_image, _instruction_set
from edgecompress.deploy._instruction_set import InstructionSet
from edgecompress.deploy._tcp_stream import ClosableStream
from edgecompress.deploy.flashers import ChipFacts, Flasher, Image, Segment

logger = logging.getLogger(__name__)

ATTEMPTS = 2

Connect = Callable[[], Flasher]


@dataclass(frozen=True, kw_only=True)
class Flashed:
    """A board whose firmware was written and started: the open line to it, and what is known of it."""

    stream: ClosableStream
    console: str
    device: str
    emulated: bool
    facts: ChipFacts
    image: Image
    proof: Proof


def flash(bundle: Bundle, target: Target, connect: Connect, console: str | None, progress: Progress) -> Flashed:
    """Write the bundle's firmware, prove that the flash holds it, and start it. The tool is let go of in the end.

    `console` is the address of the board's serial line; None asks the tool. Raises WrongDeviceError, before anything is
    written, when bundle, profile and chip do not belong together; TransferError when the flash holds something else
    afterwards; UnreachableError when the tool or the board does not answer; UsageError when no console is known.
    """
    if console is not None:
        _console.check(console)
    _chip_identity.check_bundle(bundle.manifest, target)
    image = _firmware_image.read(bundle.program, target)
    needs = _instruction_set.read(bundle.program)
    _chip_identity.check_code(needs, target)
    for _ in range(ATTEMPTS - 1):
        try:
            return _try(image, needs, target, connect, console, progress)
        except UnreachableError as error:
            logger.warning("%s; beginning again", error.message)
    return _try(image, needs, target, connect, console, progress)


def _try(
    image: Image, needs: InstructionSet, target: Target, connect: Connect, console: str | None, progress: Progress
) -> Flashed:
    flasher = connect()
    try:
        facts = flasher.identify()
        _chip_identity.check_chip(facts, needs, target)
        address = console or flasher.console()
        if address is None:
            raise UsageError(
                f"{flasher.description} does not know the board's serial line",
                hint="say it by flash --console serial:///dev/ttyACM0 or tcp://host:port; nothing was written",
            )
        flasher.write(image, progress)
        proof = _prove(image, flasher, progress)
        stream = _console.open_line(address, target)
        try:
            flasher.reset()
        except BaseException:
            stream.close()
            raise
        return Flashed(
            stream=stream,
            console=address,
            device=flasher.description,
            emulated=flasher.emulated,
            facts=facts,
            image=image,
            proof=proof,
        )
    finally:
        flasher.close()


def _prove(image: Image, flasher: Flasher, progress: Progress) -> Proof:
    """Compare what the flash holds with what was written, by the best way that the tool has."""
    proofs = set[Proof]()
    done = 0
    for segment in image.segments:
        progress("read back", done, image.bytes)
        proofs.add(_prove_segment(segment, flasher))
        done += len(segment.data)
    progress("read back", done, image.bytes)
    worst: tuple[Proof, ...] = ("build id", "hash on the device", "read back")
    return next(proof for proof in worst if proof in proofs)


def _prove_segment(segment: Segment, flasher: Flasher) -> Proof:
    found = flasher.read_back(segment.region)
    if found is not None:
        _compare(segment, found, flasher.description)
        return "read back"
    matches = flasher.matches(segment)
    if matches is False:
        raise TransferError(
            f"the flash behind {flasher.description} does not hold what was written: the hash of the "
            f"{len(segment.data):,} bytes at {segment.address:#010x} differs",
            hint="the firmware was not started; flash again, and suspect the flash when it happens again",
        )
    return "build id" if matches is None else "hash on the device"


def _compare(segment: Segment, found: bytes, description: str) -> None:
    if found == segment.data:
        return
    if len(found) != len(segment.data):
        raise TransferError(f"{description} read back {len(found):,} bytes instead of {len(segment.data):,}")
    wrong = [place for place, pair in enumerate(zip(found, segment.data, strict=True)) if pair[0] != pair[1]]
    first = wrong[0]
    raise TransferError(
        f"the flash behind {description} holds something else than was written: {len(wrong):,} of "
        f"{len(found):,} bytes differ, first at {segment.address + first:#010x} "
        f"({found[first]:#04x} instead of {segment.data[first]:#04x})",
        hint="the firmware was not started; flash again, and suspect the flash when it happens again",
    )
