"""`edgecompress flash`: a bundle's firmware onto a board's flash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from edgecompress.cli.printing import print_judged

if TYPE_CHECKING:
    from edgecompress.core.flash_record import FlashRecord
    from edgecompress.pipeline.flashing import Outcome

PROOFS = {
    "read back": "read back, byte for byte",
    "hash on the device": "by a hash that the device computed",
    "build id": "by hello's build id only: this tool cannot read the flash",
}


@click.command()
@click.argument("folder", metavar="BUNDLE", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--target",
    "-t",
    "target_name",
    required=True,
    help="What the board is: a shipped profile's name, or the path of your own .toml.",
)
@click.option(
    "--device",
    help="The board: gdb://HOST:PORT for a debug server (QEMU, OpenOCD, pyOCD, J-Link), gdb:///dev/ttyBmpGdb for a "
    "Black Magic Probe, usb://SERIAL for a board or probe by its USB serial number. [default: the only one there is]",
)
@click.option("--flasher", help="The tool that writes. [default: that of --device, else of the target's profile]")
@click.option(
    "--console",
    help="The board's serial line: serial:///dev/ttyACM0, serial://usb:SERIAL or tcp://HOST:PORT. [default: asked of "
    "the tool]",
)
@click.option(
    "--repeat",
    default=20,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Timed inferences, when BUNDLE lies in a run folder.",
)
@click.option("--mass-erase", is_flag=True, help="Erase all of the flash first, whatever else lies there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def flash(
    folder: Path,
    target_name: str,
    device: str | None,
    flasher: str | None,
    console: str | None,
    repeat: int,
    mass_erase: bool,
    as_json: bool,
) -> None:
    """Write the firmware of BUNDLE, a bundle or a run folder, into a board's flash, and prove that it runs there.

    The chip is held against bundle and profile before anything is erased; what was written is read back; the firmware
    must say hello with its build id and reproduce the test vectors. Writes flash.json beside the bundle; in a run
    folder the board is then measured, and the report written.

    \b
    Examples:
      edgecompress flash runs/wakeword/bundle --device gdb://127.0.0.1:3333 --target mps2-an386
      edgecompress flash runs/wakeword --target nucleo-l4r5zi --device usb://066DFF383333554E43184325 --flasher openocd
    """
    from edgecompress.cli.display import Display
    from edgecompress.core import target
    from edgecompress.pipeline import flashing

    choice = flashing.FlashChoice(device=device, flasher=flasher, console=console, mass_erase=mass_erase)
    with Display() as display:
        outcome = flashing.flash(folder, target.load(target_name), choice, display, repeat)
    if as_json:
        print_judged(outcome.figures, outcome.raise_if_limits_missed)
        return
    _print_words(outcome)
    outcome.raise_if_limits_missed()


def _print_words(outcome: Outcome) -> None:
    record = outcome.record
    click.echo(f"{record.name} on {record.device}{' (emulated)' if record.emulated else ''}")
    click.echo(f"chip      {_chip(record)}")
    click.echo(f"written   {record.image_bytes:,} bytes in {record.segments} piece{'s' * (record.segments > 1)}")
    click.echo(f"verified  {PROOFS[record.proof]}")
    click.echo(f"hello     build {record.build_id}, over {record.console}")
    click.echo(f"vectors   {record.verified_vectors} reproduced byte for byte")
    click.echo(f"record: {outcome.record_path}")
    if outcome.report is not None and outcome.run_folder is not None:
        from edgecompress.cli.tables import print_summary

        print_summary(outcome.report, outcome.run_folder)


def _chip(record: FlashRecord) -> str:
    chip = record.chip
    words = [chip.name, chip.core, f"CPUID {chip.cpuid}" if chip.cpuid else None]
    words.append(f"id {chip.id_word}" if chip.id_word else None)
    return ", ".join(word for word in words if word) or "not asked: this tool cannot"
