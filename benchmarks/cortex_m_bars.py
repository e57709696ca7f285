"""Hold the MLPerf Tiny networks against the project's own bars: every network, core and mode beside TFLM with CMSIS-NN.

    python benchmarks/cortex_m_bars.py                  all figures as ratios to the baseline, each beside its bar
    python benchmarks/cortex_m_bars.py --check          exit 1 and name each bar that is missed
    python benchmarks/cortex_m_bars.py --json           all figures on stdout

Instructions are counted in mode balanced, flash in mode size, RAM in mode ram. Cortex-M33 has no baseline of its own
and is held against Cortex-M4's; Cortex-M3 against TFLM's reference kernels on a Cortex-M4. About a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from benchmarks import cortex_m
from edgecompress.core.values import Optimize

Metric = Literal["instructions", "flash_bytes", "ram_bytes"]
DSP_BOARDS = {"mps2-an386": "cortex-m4", "mps2-an500": "cortex-m7", "mps2-an505": "cortex-m4"}
HELIUM_BOARD = {"mps3-an547": "cortex-m55"}
PLAIN_BOARD = {"mps2-an385": "cortex-m4"}
MODE: dict[Metric, Optimize] = {"instructions": "balanced", "flash_bytes": "size", "ram_bytes": "ram"}
MOST_OF_REFERENCE = 0.5


@dataclass(frozen=True, kw_only=True)
class Bars:
    """The largest ratios to TFLM with CMSIS-NN that a network may reach."""

    dsp: float
    helium: float
    flash: float
    ram: float


BARS = {
    "kws_dscnn": Bars(dsp=0.55, helium=0.80, flash=0.45, ram=0.55),
    "vww_mobilenetv1_025": Bars(dsp=0.33, helium=0.45, flash=0.20, ram=0.58),
    "ic_resnet8": Bars(dsp=0.52, helium=0.88, flash=0.72, ram=0.92),
    "ad_autoencoder": Bars(dsp=0.65, helium=0.45, flash=0.91, ram=0.70),
    "sww_stream": Bars(dsp=0.55, helium=0.90, flash=0.58, ram=0.75),
}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One figure of a network that may be at most `ratio` times the baseline's, on a core of variant `variant`."""

    network: str
    target: str
    metric: Metric
    ratio: float
    core: str
    variant: str = cortex_m.BASELINE_VARIANT


@dataclass(frozen=True, kw_only=True)
class Held:
    """A bar and what was measured."""

    bar: Bar
    value: float
    baseline: int

    @property
    def ratio(self) -> float:
        """How many times the baseline was taken."""
        return self.value / self.baseline

    @property
    def is_missed(self) -> bool:
        """True when it is more than the bar allows."""
        return self.ratio > self.bar.ratio


def all_bars(networks: Iterable[str]) -> Iterator[Bar]:
    """List every bar of these networks."""
    for network in networks:
        bars = BARS[network]
        for target, core in (DSP_BOARDS | HELIUM_BOARD).items():
            most = bars.helium if target in HELIUM_BOARD else bars.dsp
            yield Bar(network=network, target=target, metric="instructions", ratio=most, core=core)
            yield Bar(network=network, target=target, metric="flash_bytes", ratio=bars.flash, core=core)
            yield Bar(network=network, target=target, metric="ram_bytes", ratio=bars.ram, core=core)
        for target, core in PLAIN_BOARD.items():
            yield Bar(
                network=network,
                target=target,
                metric="instructions",
                ratio=MOST_OF_REFERENCE,
                core=core,
                variant="reference",
            )


def hold(bars: Iterable[Bar], progress: Console) -> Iterator[Held]:
    """Measure each bar's figure, through the whole pipeline."""
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        for bar in bars:
            mode = MODE[bar.metric]
            progress.print(f"{bar.network} on {bar.target}, mode {mode} ...")
            folder = Path(scratch) / f"{bar.network}-{bar.target}-{mode}"
            figures = cortex_m.measure(f"{bar.network}_int8", bar.target, folder, mode)
            baselines = cortex_m.read_baselines(cortex_m.BASELINE, bar.variant)
            baseline = getattr(baselines[f"{bar.network}_int8", bar.core], bar.metric)
            value = getattr(figures, bar.metric)
            if value is None or figures.mismatched_bytes:
                raise RuntimeError(f"{bar.network} on {bar.target} gave no trustworthy {bar.metric}")
            yield Held(bar=bar, value=value, baseline=baseline)


def as_table(held: Iterable[Held]) -> Table:
    """One row a bar."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("network", "target", "figure", "mode"):
        table.add_column(heading)
    for heading in ("measured", "x", "at most", ""):
        table.add_column(heading, justify="right")
    for each in held:
        bar = each.bar
        verdict = "missed" if each.is_missed else "held"
        name = bar.metric.removesuffix("_bytes")
        ratios = (f"{each.ratio:.3f}", f"{bar.ratio:.2f}")
        table.add_row(bar.network, bar.target, name, MODE[bar.metric], f"{each.value:,.0f}", *ratios, verdict)
    return table


def main() -> int:
    """Measure, print, and say which bars were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(BARS), choices=list(BARS), help="which networks")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    arguments = parser.parse_args()
    progress = Console(stderr=True)
    held = list(hold(all_bars(arguments.networks), progress))
    missed = [each for each in held if each.is_missed]
    if arguments.json:
        print(json.dumps({"bars": [{**asdict(each), "ratio": each.ratio, "missed": each.is_missed} for each in held]}))
    else:
        Console(width=None if sys.stdout.isatty() else cortex_m.WIDTH_OF_A_FILE).print(as_table(held))
    for each in missed:
        bar = each.bar
        progress.print(f"missed: {bar.network} on {bar.target}: {bar.metric} {each.ratio:.3f}, at most {bar.ratio:.2f}")
    return 1 if arguments.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
