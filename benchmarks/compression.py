"""Try every compression method on two networks trained on the digits, and on an emulated Cortex-M4.

    python benchmarks/compression.py                     every method, three seeds, on the board too: an hour
    python benchmarks/compression.py --quick             one seed, without the board
    python benchmarks/compression.py --only tucker       cases whose names hold this word
    python benchmarks/compression.py --check             exit 1, naming each bar that falls short
    python benchmarks/compression.py --json              all figures on stdout

Accuracy is that of the exported graph under ONNX Runtime on 539 digits, and of the board's own answers; one digit is
0.19 points. Flash, RAM and instructions are those of mps2-an386 under QEMU: instructions are not time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import compression_bars as bars
from benchmarks.compression_cases import CASES
from benchmarks.compression_figures import Figures, measure

SEEDS = 3
WIDTH_OF_A_FILE = 160


def main() -> int:
    """Measure, print, and say which bars were missed."""
    arguments = _parse(sys.argv[1:])
    progress = Console(stderr=True)
    cases = [case for case in CASES if all(word in case.name for word in arguments.only)]
    figures: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as folder:
        for case in cases:
            progress.print(f"{case.network}: {case.name} ...")
            seeds = 1 if arguments.quick else arguments.seeds
            figures.append(measure(case, seeds, Path(folder), on_device=not arguments.quick))
    held = bars.hold(figures)
    if arguments.json:
        print(json.dumps(as_json(figures)))
    else:
        _print(figures)
    for bar in held:
        progress.print(f"{'missed' if bar.is_missed else 'held'}: {bar}", soft_wrap=True)
    return 1 if arguments.check and any(bar.is_missed for bar in held) else 0


def as_json(figures: list[Figures]) -> dict[str, object]:
    """All figures, and the bars."""
    rows = [asdict(each) | {"case": {"network": each.case.network, "name": each.case.name}} for each in figures]
    return {"figures": rows, "bars": [asdict(bar) | {"missed": bar.is_missed} for bar in bars.hold(figures)]}


def _print(figures: list[Figures]) -> None:
    table = Table("network", "case", "before", "after", "lost", "MACs", "parameters", "stored")
    for heading in ("flash", "RAM", "instructions", "on the board"):
        table.add_column(heading, justify="right")
    for each in figures:
        device = each.device
        cells = (
            (f"{device.flash_bytes:,}", f"{device.ram_bytes:,}", f"{device.instructions:,}", _percent(device.accuracy))
            if device is not None
            else ("", "", "", each.missing or "")
        )
        table.add_row(
            each.case.network,
            each.case.name,
            _spread(each.before),
            _spread(each.after),
            f"{each.lost:.2f}",
            f"{each.macs:,}",
            f"{each.parameters:,}",
            f"{each.stored_bytes:,}",
            *cells,
        )
    console = Console()
    Console(width=None if console.is_terminal else WIDTH_OF_A_FILE).print(table)


def _spread(accuracies: tuple[float, ...]) -> str:
    mean = _percent(statistics.fmean(accuracies))
    return mean if len(accuracies) == 1 else f"{mean} ±{100 * statistics.stdev(accuracies):.2f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], help="a word of a case's name; may be given again")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="networks trained for each case; default 3")
    parser.add_argument("--quick", action="store_true", help="one seed, without the board")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
