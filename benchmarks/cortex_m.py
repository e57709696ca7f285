"""Measure the MLPerf Tiny networks on emulated Cortex-M boards, beside TFLM with CMSIS-NN and beside published boards.

    python benchmarks/cortex_m.py                       every network, core and mode (about ten minutes)
    python benchmarks/cortex_m.py --quick               a few of them (under a minute)
    python benchmarks/cortex_m.py --networks kws_dscnn  one network
    python benchmarks/cortex_m.py --folder runs/bench   keep what is built and measured, and begin from there next time
    python benchmarks/cortex_m.py --check               exit 1 and name each bar that is missed
    python benchmarks/cortex_m.py --json                all figures on stdout

baselines/README.md says how the baseline was counted. Instructions are not time; the only cycles here are estimates
(cortex_m4_cycles.py), and stand beside what others measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import cortex_m4_cycles as m4
from benchmarks import cortex_m_bars as bars
from benchmarks import cortex_m_figures, cortex_m_tables
from benchmarks.cortex_m_figures import NETWORKS, Case, Figures, Measured

QUICK = (
    Case(network="kws_dscnn", target="mps2-an386", modes=("speed", "size", "ram")),
    Case(network="vww_mobilenetv1_025", target="mps2-an500", modes=("speed", "ram")),
    Case(network="ic_resnet8", target="mps2-an505", modes=("speed",)),
    Case(network="ad_autoencoder", target="mps2-an385", modes=("speed",)),
    Case(network="ad_autoencoder", target="mps2-an385-m0plus", modes=("speed", "size")),
    Case(network="sww_stream", target="mps3-an547", modes=("speed", "balanced", "ram")),
    Case(network="ad_autoencoder", target="mps2-an386", modes=("speed",), kind="fp32"),
)
"""Every kind of bar, every core, every family of kernels."""
M4_NAMES = {file.removesuffix("_int8"): name for name, file in m4.NETWORKS.items()}
QUICK_M4 = ("kws_dscnn",)
WIDTH_OF_A_FILE = 130


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that was measured and estimated."""

    measured: Sequence[Measured]
    cycles: Sequence[m4.Figures]

    @property
    def figures(self) -> list[Figures]:
        """The figures of all cases."""
        return [figures for measured in self.measured for figures in measured.figures]

    def of(self, **wanted: str) -> list[Figures]:
        """The figures with these values."""
        return [each for each in self.figures if all(getattr(each, name) == value for name, value in wanted.items())]

    @property
    def held(self) -> list[bars.Held]:
        """The bars of what was measured."""
        return bars.hold(self.figures, bars.read_baselines())

    @property
    def missed(self) -> list[str]:
        """Every bar that is missed, by name."""
        best = m4.read_best_published(m4.PUBLISHED)
        return [
            *bars.missed_bars(self.held),
            *bars.missed_float_bars(self.figures),
            *bars.unexplained(self.figures),
            *cortex_m_figures.unequal_outputs(self.figures),
            *m4.not_below(self.cycles, best),
            *m4.miscounted(self.cycles),
        ]


def main() -> int:
    """Measure, print, and say which bars were missed."""
    arguments = _parse(sys.argv[1:])
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        results = _measure(arguments, arguments.folder or Path(scratch), progress)
    if arguments.json:
        print(json.dumps(as_json(results)))
    else:
        _print(results)
    missed = results.missed
    for each in missed:
        progress.print(f"missed: {each}")
    return 1 if arguments.check and missed else 0


def as_json(results: Results) -> dict[str, object]:
    """All figures; each int8 one with what TFLM takes, each estimate with the best published board."""
    best = m4.read_best_published(m4.PUBLISHED)
    return {
        "figures": [_figures_as_json(figures) for figures in results.figures],
        "too_big": [
            {"network": each.case.network, "target": each.case.target, "why": why}
            for each in results.measured
            for why in each.too_big
        ],
        "bars": [{**asdict(held), "ratio": held.ratio, "missed": held.is_missed} for held in results.held],
        "cortex_m4_cycles": [m4.as_json(figures, best) for figures in results.cycles],
        "missed": results.missed,
    }


def _measure(arguments: argparse.Namespace, folder: Path, progress: Console) -> Results:
    cases = _cases(arguments)
    measured = cortex_m_figures.measure_all(cases, folder, arguments.jobs, progress.print)
    names = [name for name in arguments.networks if not arguments.quick or name in QUICK_M4]
    plugin = m4.build_plugin(folder)
    cycles = []
    for name in names:
        progress.print(f"cycles of {name} on a Cortex-M4 (estimate) ...")
        case = Case(network=name, target=m4.TARGET, modes=("speed",))
        run_folder = cortex_m_figures.run_folder(case, "speed", folder)
        cycles.append(m4.estimate(M4_NAMES[name], plugin, run_folder, "speed"))
    return Results(measured=measured, cycles=cycles)


def _cases(arguments: argparse.Namespace) -> list[Case]:
    if arguments.quick:
        return [case for case in QUICK if case.network in arguments.networks]
    return [*bars.all_cases(arguments.networks), *bars.all_cases(arguments.networks, "fp32")]


def _figures_as_json(figures: Figures) -> dict[str, object]:
    baseline = bars.baseline_of(figures, bars.read_baselines()) if figures.kind == "int8" else None
    return {
        **asdict(figures),
        "instructions_per_mac": figures.instructions_per_mac,
        "bound_instructions": bars.bound(figures) if figures.kind == "int8" else None,
        "baseline": None if baseline is None else asdict(baseline),
    }


def _print(results: Results) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, highlight=False)
    baselines = bars.read_baselines()
    int8 = results.of(kind="int8")
    console.print("[bold]The bars[/]: ratios to TFLM with CMSIS-NN (variant speed)\n")
    console.print(cortex_m_tables.bars(results.held))
    console.print("\n[bold]Everything at once[/]: one program, mode balanced; x TFLM (M0, M3: its reference kernels),")
    console.print("x bound: executed MACs over the int8 products of one instruction (M0, M3: 1; DSP: 2; Helium: 16)\n")
    console.print(cortex_m_tables.at_once(results.of(kind="int8", mode="balanced"), baselines))
    console.print("\n[bold]Cores without DSP instructions[/], beside TFLM's reference kernels on a Cortex-M4\n")
    console.print(cortex_m_tables.plain_cores(int8, baselines))
    for each in results.measured:
        for why in each.too_big:
            console.print(f"{each.case.network} on {each.case.target}, {why}", soft_wrap=True)
    console.print("\n[bold]Float networks[/]: instructions a multiplication\n")
    console.print(cortex_m_tables.floats(results.of(kind="fp32")))
    console.print("\n[bold]Cycles of a Cortex-M4[/], mode speed: ours are an estimate, the boards' are measured\n")
    m4.show(results.cycles, m4.read_best_published(m4.PUBLISHED), console)
    console.print("\n[bold]Outputs[/]: all are the host program's bytes, on every board and in every mode")
    for network, reason in {each.network: each.max_lsb_reason for each in int8 if each.max_lsb_reason}.items():
        console.print(f"{network}: {reason}", soft_wrap=True)
    console.print(f"\n{len(results.missed)} bars missed")


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only a few networks, cores and modes")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS, help="which networks")
    parser.add_argument("--folder", type=Path, help="keep what is built and measured here")
    parser.add_argument("--jobs", type=int, default=1, help="how many to measure at a time (default: 1)")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
