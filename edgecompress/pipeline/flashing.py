"""Flash a bundle's firmware onto a board, prove it there, and measure it when the bundle lies in a run folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress import pipeline
from edgecompress.core import bundle as bundles
from edgecompress.core import files
from edgecompress.core.flash_record import ChipRecord, FlashRecord
from edgecompress.core.report import Report
from edgecompress.core.run_folder import Observer, Run
from edgecompress.core.values import FileValue
from edgecompress.pipeline.device_choice import DeviceChoice

if TYPE_CHECKING:
    from edgecompress.core.bundle import Bundle
    from edgecompress.core.device import Device
    from edgecompress.core.target import Target
    from edgecompress.deploy._flashing import Flashed

RECORD_FILE = "flash.json"


@dataclass(frozen=True, kw_only=True)
class FlashChoice:
    """Which board, by which tool, over which serial line it speaks; and whether all of its flash may be erased."""

    device: str | None = None
    flasher: str | None = None
    console: str | None = None
    mass_erase: bool = False


class Figures(FileValue):
    """What --json prints of a flash."""

    flash: FlashRecord
    report: Report | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a flash gave: its record and where that was written; the run and its report when there is a run folder."""

    record: FlashRecord
    record_path: Path
    run_folder: Path | None = None
    report: Report | None = None

    @property
    def figures(self) -> Figures:
        """The record and the report as one value."""
        return Figures(flash=self.record, report=self.report)

    def raise_if_limits_missed(self) -> None:
        """Raise QualityError when the board was measured and a limit of the recipe was missed."""
        if self.report is not None:
            pipeline.raise_if_limits_missed(self.report)


@dataclass(frozen=True, kw_only=True)
class FlashedBoard(DeviceChoice):
    """A board that was flashed a moment ago, as `record` tells: reached over its serial line, not flashed again."""

    record: FlashRecord

    def connect(self, chosen: Target) -> Device:
        """Return the board as a device."""
        from edgecompress.core.device import Device
        from edgecompress.deploy._flash_link import ConsoleLink

        told = self.record
        link = ConsoleLink(chosen, told.console, description=told.device, emulated=told.emulated)
        return Device(link, chosen)


def flash(folder: Path, chosen: Target, choice: FlashChoice, observer: Observer, repeat: int) -> Outcome:
    """Flash the bundle of `folder`, a bundle's own or a run's, and write flash.json beside the bundle.

    A run goes on to deployment.json, measurements.json and the report, all from the board that was flashed.
    """
    run = _run_of(folder, observer)
    bundle = bundles.load(folder) if run is None else run.bundle()
    bundle.check_whole()
    record = _flash(bundle, chosen, choice, observer)
    path = bundle.folder.parent / RECORD_FILE
    files.write_whole(path, record.model_dump_json(indent=2) + "\n")
    if run is None:
        return Outcome(record=record, record_path=path)
    board = FlashedBoard(address=f"{record.device}, flashed {record.created}", record=record)
    pipeline.deploy(run, board)
    pipeline.profile(run, board, repeat)
    return Outcome(record=record, record_path=path, run_folder=run.folder, report=pipeline.report(run))


def _run_of(folder: Path, observer: Observer) -> Run | None:
    """Open the run that the folder is, or whose bundle it is; None for a bundle by itself."""
    whole = folder.resolve()
    if (whole / "run.json").is_file():
        return Run.open(folder, observer)
    if whole.name == "bundle" and (whole.parent / "run.json").is_file():
        return Run.open(folder.parent if folder.name == "bundle" else whole.parent, observer)
    return None


def _flash(bundle: Bundle, chosen: Target, choice: FlashChoice, observer: Observer) -> FlashRecord:
    from edgecompress.core.device import Device
    from edgecompress.deploy import _flash_link
    from edgecompress.deploy.flashers import FlashOptions

    observer.stage_started("flash")
    begin = time.monotonic()
    options = FlashOptions(mass_erase=choice.mass_erase)
    tool = _flash_link.choose(chosen, choice.device, choice.flasher, options)
    link = _flash_link.FlashLink(chosen, tool, choice.console)
    with Device(link, chosen) as device:
        device.install(bundle, observer.progress)
    seconds = time.monotonic() - begin
    observer.stage_done("flash", seconds, reused=False)
    assert link.flashed is not None  # install came back
    return _record(bundle, tool.flasher, link.description, link.flashed, seconds)


def _record(bundle: Bundle, flasher: str, device: str, flashed: Flashed, seconds: float) -> FlashRecord:
    from edgecompress.deploy._chip_identity import core_name

    facts = flashed.facts
    chip = ChipRecord(
        name=facts.name,
        core=None if facts.cpuid is None else core_name(facts.cpuid),
        cpuid=_hexadecimal(facts.cpuid),
        id_word=_hexadecimal(facts.id_word),
    )
    return FlashRecord(
        name=bundle.manifest.name,
        target=bundle.manifest.target,
        build_id=bundle.manifest.build_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        flasher=flasher,
        device=device,
        emulated=flashed.emulated,
        chip=chip,
        image_bytes=flashed.image.bytes,
        segments=len(flashed.image.segments),
        proof=flashed.proof,
        console=flashed.console,
        verified_vectors=bundle.manifest.vectors.count,
        seconds=round(seconds, 3),
    )


def _hexadecimal(word: int | None) -> str | None:
    return None if word is None else f"{word:#010x}"
