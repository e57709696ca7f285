"""Estimate the cycles of the int8 MLPerf Tiny networks on a Cortex-M4, beside what published boards measured.

    python benchmarks/cortex_m4_cycles.py               the five networks
    python benchmarks/cortex_m4_cycles.py --check       exit 1 and name each of kws, vww, ic and ad that is not below
    python benchmarks/cortex_m4_cycles.py --json        all figures on stdout

Ours are estimates: the instructions that one inference executes on the emulated board mps2-an386, each counted by a
plugin of the emulator, times the timings of the manual (cortex_m4_timings.py says what it assumes). The boards'
figures are measured: published latency times clock. Those boards have flash with wait states behind a cache; the
estimate has memory without any.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from rich.console import Console
from rich.table import Table

from benchmarks import cortex_m4_timings as m4
from edgecompress import pipeline
from edgecompress.core import target, tools
from edgecompress.core.bundle import Bundle
from edgecompress.core.run_folder import Silent
from edgecompress.core.values import Optimize

NETWORKS = {
    "kws": "kws_dscnn_int8",
    "vww": "vww_mobilenetv1_025_int8",
    "ic": "ic_resnet8_int8",
    "ad": "ad_autoencoder_int8",
    "sww": "sww_stream_int8",
}
"""By the benchmark's name in the published results."""
MUST_BE_BELOW = ("kws", "vww", "ic", "ad")
"""No board publishes a latency of sww."""
FOLDER = Path(__file__).parents[1] / "examples" / "mlperf_tiny"
PUBLISHED = Path(__file__).parent / "baselines" / "mlperf_tiny_published.csv"
PLUGIN_SOURCE = Path(__file__).parent / "instruction_counts.c"
PLUGIN_FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")
TOOL_TIMEOUT_S = 300.0
TARGET = "mps2-an386"
MOST_STEPS_APART = 2
"""Of the timer's: one is its resolution, one more than covers the instructions that read it."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """The fewest cycles that a board with a Cortex-M4 measured for a benchmark: its latency times its clock."""

    cycles: int
    board: str
    submitter: str
    round: str
    runtime: str


@dataclass(frozen=True, kw_only=True)
class Inference:
    """One inference, counted by the plugin; `timer_instructions` is the same by the board's timer.

    The timer steps in `timer_step` instructions, and also counts the few that read it.
    """

    counts: Mapping[int, m4.Counts]
    timer_instructions: float
    timer_step: float


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one inference takes. Instructions are counted, cycles estimated."""

    benchmark: str
    macs: int
    instructions: int
    timer_instructions: float
    timer_step: float
    cycles: int
    pessimistic_cycles: int


def main() -> int:
    """Count, estimate, print, and say what is not below the best published board."""
    arguments = _parse(sys.argv[1:])
    progress = Console(stderr=True)
    found: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        plugin = build_plugin(Path(scratch))
        for benchmark in arguments.networks:
            progress.print(f"{benchmark} on {TARGET} ...")
            found.append(estimate(benchmark, plugin, Path(scratch) / benchmark, arguments.optimize))
    best = read_best_published(PUBLISHED)
    shortfalls = [*not_below(found, best), *miscounted(found)]
    if arguments.json:
        print(json.dumps({"figures": [as_json(figures, best) for figures in found], "missed": shortfalls}))
    else:
        show(found, best, Console(soft_wrap=True, highlight=False))
    for shortfall in shortfalls:
        progress.print(f"missed: {shortfall}")
    return 1 if arguments.check and shortfalls else 0


def build_plugin(folder: Path) -> Path:
    """Compile the emulator's plugin for this machine."""
    plugin = folder / "libinstruction_counts.so"
    tools.run(["gcc", *PLUGIN_FLAGS, "-o", plugin, PLUGIN_SOURCE], timeout_s=TOOL_TIMEOUT_S)
    return plugin


def estimate(benchmark: str, plugin: Path, folder: Path, optimize: Optimize) -> Figures:
    """Compile a network, run it under the plugin and estimate the cycles of one inference."""
    chosen = target.load(TARGET)
    run = pipeline.compress(FOLDER / f"{NETWORKS[benchmark]}.onnx", folder, Silent())
    bundle = pipeline.compile_network(run, chosen, optimize)
    inference = count(bundle, chosen, plugin, folder / "counts.csv")
    text = tools.run(["arm-none-eabi-objdump", "-d", bundle.program], timeout_s=TOOL_TIMEOUT_S).decode()
    program = m4.read_disassembly(text)
    return Figures(
        benchmark=benchmark,
        macs=sum(layer.macs for layer in bundle.manifest.layers),
        instructions=sum(at.executed for at in inference.counts.values()),
        timer_instructions=inference.timer_instructions,
        timer_step=inference.timer_step,
        cycles=m4.cycles(program, inference.counts, m4.ESTIMATE),
        pessimistic_cycles=m4.cycles(program, inference.counts, m4.PESSIMISTIC),
    )


def count(bundle: Bundle, chosen: target.Target, plugin: Path, path: Path) -> Inference:
    """Run the first test vector and count what the timed window executes, twice: by the plugin and by the timer."""
    if chosen.emulator is None or chosen.emulator.instructions_per_tick is None:
        raise ValueError(f"{chosen.name} does not count instructions")
    words = [f"{name}={address:#x}" for name, address in _addresses(bundle.program).items()]
    choice = pipeline.DeviceChoice(emulator_args=("-plugin", ",".join([str(plugin), *words, f"out={path}"])))
    inputs, _ = bundle.vectors()
    with pipeline.connect(chosen, choice) as device:
        device.install(bundle)
        ticks = device.run({name: values[0] for name, values in inputs.items()}).ticks
        counts = m4.read_counts(path.read_text())
    step = chosen.emulator.instructions_per_tick
    return Inference(counts=counts, timer_instructions=ticks[-1] * step, timer_step=step)


def read_best_published(path: Path) -> dict[str, Published]:
    """The board with the fewest cycles for each benchmark, of those with a Cortex-M4, whatever their tool."""
    best: dict[str, Published] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            clock = re.match(r"([\d.]+) *MHz", row["clock"], re.IGNORECASE)
            if re.search(r"-M4\b|-M4F\b", row["cpu"]) is None or clock is None or not row["latency_ms"]:
                continue
            published = Published(
                cycles=round(float(row["latency_ms"]) * float(clock[1]) * 1000),
                board=row["board"],
                submitter=row["submitter"],
                round=row["round"],
                runtime=row["runtime"],
            )
            known = best.get(row["benchmark"])
            if known is None or published.cycles < known.cycles:
                best[row["benchmark"]] = published
    return best


def not_below(found: Iterable[Figures], best: Mapping[str, Published]) -> list[str]:
    """Name every network whose estimate is not below the best published board."""
    return [
        f"{figures.benchmark}: {figures.cycles:,} cycles (estimate), and must be below "
        f"{best[figures.benchmark].cycles:,} (measured, {best[figures.benchmark].board})"
        for figures in found
        if figures.benchmark in MUST_BE_BELOW and figures.cycles >= best[figures.benchmark].cycles
    ]


def miscounted(found: Iterable[Figures]) -> list[str]:
    """Name every network of which the plugin counts something else than the board's timer."""
    return [
        f"{figures.benchmark}: the plugin counts {figures.instructions:,} instructions, and the timer, which steps in "
        f"{figures.timer_step:g}, {figures.timer_instructions:,.0f}"
        for figures in found
        if abs(figures.timer_instructions - figures.instructions) > MOST_STEPS_APART * figures.timer_step
    ]


def as_table(found: Iterable[Figures], best: Mapping[str, Published]) -> Table:
    """One row a network, 80 columns; `x` is the estimate before it over the measured cycles of the best board."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("network")
    headings = (
        "MACs",
        "executed\n(counted)",
        "cycles\n(estimate)",
        "x",
        "pessimistic\n(estimate)",
        "x",
        "best board\n(measured)",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for figures in found:
        board = best.get(figures.benchmark)
        table.add_row(
            figures.benchmark,
            f"{figures.macs:,}",
            f"{figures.instructions:,}",
            f"{figures.cycles:,}",
            _ratio(figures.cycles, board),
            f"{figures.pessimistic_cycles:,}",
            _ratio(figures.pessimistic_cycles, board),
            "-" if board is None else f"{board.cycles:,}",
        )
    return table


def as_notes(figures: Figures, best: Mapping[str, Published]) -> str:
    """Name the board, and set the timer's count of instructions beside the plugin's."""
    board = best.get(figures.benchmark)
    name = "none published" if board is None else f"{board.board}, {board.submitter} {board.round}, {board.runtime}"
    return (
        f"{figures.benchmark}: best board: {name}; the timer counts {figures.timer_instructions:,.0f} instructions "
        f"in steps of {figures.timer_step:g}, the plugin {figures.instructions:,}"
    )


def _addresses(program: Path) -> dict[str, int]:
    """Where the timed window opens and closes, and where code begins and ends."""
    with program.open("rb") as file:
        elf = ELFFile(file)
        functions = {
            symbol.name: symbol["st_value"] & ~1  # bit 0 says Thumb
            for section in elf.iter_sections()
            if isinstance(section, SymbolTableSection)
            for symbol in section.iter_symbols()
        }
        code = [section for section in elf.iter_sections() if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR]
        return {
            "open": functions["edgert_window_open"],
            "close": functions["edgert_window_close"],
            "low": min(section["sh_addr"] for section in code),
            "high": max(section["sh_addr"] + section["sh_size"] for section in code),
        }


def show(found: Iterable[Figures], best: Mapping[str, Published], console: Console) -> None:
    """Print the table, what its words mean, and a note on each network."""
    console.print(as_table(found, best))
    console.print(
        "\nestimate: executed instructions times the manual's timings, memory without wait states\n"
        "measured: published latency times clock, on a board with a Cortex-M4"
    )
    for figures in found:
        console.print(as_notes(figures, best), soft_wrap=True)


def as_json(figures: Figures, best: Mapping[str, Published]) -> dict[str, object]:
    """An estimate, and the best board's measured cycles."""
    board = best.get(figures.benchmark)
    return {
        **asdict(figures),
        "how": "estimate",
        "best_published": None if board is None else {**asdict(board), "how": "measured"},
    }


def _ratio(cycles: int, board: Published | None) -> str:
    return "-" if board is None else f"{cycles / board.cycles:.2f}"


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=tuple(NETWORKS), choices=NETWORKS, help="which networks")
    parser.add_argument("--optimize", default="speed", choices=get_args(Optimize), help="what to save (default: speed)")
    parser.add_argument("--check", action="store_true", help="exit 1 when an estimate is not below the best board")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
