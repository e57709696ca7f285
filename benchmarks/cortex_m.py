"""Measure the MLPerf Tiny networks on emulated Cortex-M boards, beside TFLM with CMSIS-NN.

    python benchmarks/cortex_m.py                       the five int8 networks on mps2-an386
    python benchmarks/cortex_m.py --targets all         on every Cortex-M target and the host, outputs compared
    python benchmarks/cortex_m.py --float               the float networks; there is no baseline for them
    python benchmarks/cortex_m.py --optimize ram        in another mode than balanced
    python benchmarks/cortex_m.py --check               exit 1 and name each bar that is missed
    python benchmarks/cortex_m.py --json                all figures on stdout

baselines/README.md says how the baseline was counted. Instructions are not time.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from edgecompress import pipeline
from edgecompress.core import bundle, target
from edgecompress.core.errors import DoesNotFitError
from edgecompress.core.run_folder import Silent
from edgecompress.core.values import Optimize

NETWORKS = ("kws_dscnn", "vww_mobilenetv1_025", "ic_resnet8", "ad_autoencoder", "sww_stream")
FOLDER = Path(__file__).parents[1] / "examples" / "mlperf_tiny"
BASELINE = Path(__file__).parent / "baselines" / "cortex_m_tflm.csv"
BASELINE_VARIANT = "speed"
MAIN_TARGET = "mps2-an386"
WIDTH_OF_A_FILE = 160
REPEAT = 3
"""An emulator counts the same every time; more inferences would only take longer."""

MOST_INSTRUCTIONS = 2.5
"""Times the baseline's: what even kernels without DSP instructions must keep."""
LEAST_VECTORS = 8
MOST_LSB = 1
"""More needs a reason in the report."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What TFLM takes for a network on a core."""

    instructions: int
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a network takes on a target; a figure that the target cannot give is None.

    `macs` are those that are executed: without channels that the compiler found dead.
    """

    network: str
    target: str
    cpu: str
    macs: int
    instructions: float | None
    flash_bytes: float | None
    ram_bytes: float | None
    arena_bytes: float | None
    stack_bytes: float | None
    mismatched_bytes: float | None
    max_lsb: float | None
    max_lsb_reason: str | None
    top1_agreement: float | None
    vectors: int
    outputs_sha256: str

    @property
    def instructions_per_mac(self) -> float | None:
        """Everything included: padding, requantisation, softmax."""
        return None if self.instructions is None else self.instructions / self.macs


def main() -> int:
    """Measure, print, and say which bars were missed."""
    arguments = _parse(sys.argv[1:])
    progress = Console(stderr=True)
    found: list[Figures] = []
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        for target_name in arguments.targets:
            for network in arguments.networks:
                progress.print(f"{network} on {target_name} ...")
                try:
                    folder = Path(scratch) / f"{network}-{target_name}"
                    found.append(measure(network, target_name, folder, arguments.optimize))
                except DoesNotFitError as error:
                    progress.print(f"does not fit: {error.message}")
    baselines = read_baselines(BASELINE)
    shortfalls = [*missed_bars(found, baselines), *unequal_outputs(found)]
    if arguments.json:
        print(json.dumps({"figures": [_as_json(figures, baselines) for figures in found], "missed": shortfalls}))
    else:
        _print(found, baselines)
    for shortfall in shortfalls:
        progress.print(f"missed: {shortfall}")
    return 1 if arguments.check and shortfalls else 0


def measure(network: str, target_name: str, folder: Path, optimize: Optimize = "balanced") -> Figures:
    """Compile, deploy and measure one network on one target, through the whole pipeline."""
    chosen = target.load(target_name)
    source = FOLDER / f"{network}.onnx"
    report = pipeline.run_all(source, chosen, folder, Silent(), pipeline.DeviceChoice(), REPEAT, optimize)
    candidate = report.candidates[0]

    def value(metric: str) -> float | None:
        found = candidate.metric(metric)
        return None if found is None else found.value

    distance = candidate.metric("onnxruntime_max_lsb")
    return Figures(
        network=network,
        target=target_name,
        cpu=chosen.cpu,
        macs=sum(layer.macs for layer in candidate.bundle.layers),
        instructions=value("latency_instructions"),
        flash_bytes=value("flash_bytes"),
        ram_bytes=value("ram_bytes"),
        arena_bytes=value("arena_bytes"),
        stack_bytes=value("stack_bytes"),
        mismatched_bytes=value("device_mismatched_bytes"),
        max_lsb=value("onnxruntime_max_lsb"),
        max_lsb_reason=distance.conditions.get("reason") if distance else None,
        top1_agreement=value("onnxruntime_top1_agreement"),
        vectors=candidate.bundle.vectors.count,
        outputs_sha256=_digest_of_vectors(bundle.load(folder / "bundle")),
    )


def read_baselines(path: Path, variant: str = BASELINE_VARIANT) -> dict[tuple[str, str], Baseline]:
    """Read the baseline by network and core, of one variant of its kernels."""
    with path.open(newline="") as file:
        return {
            (row["model"], row["core"]): Baseline(
                instructions=int(row["instructions"]),
                flash_bytes=int(row["flash_bytes"]),
                ram_bytes=int(row["ram_bytes"]),
            )
            for row in csv.DictReader(file)
            if row["variant"] == variant
        }


def missed_bars(found: Iterable[Figures], baselines: dict[tuple[str, str], Baseline]) -> list[str]:
    """Name every missed bar: exact outputs everywhere; instructions, flash and RAM on the main target."""
    missed: list[str] = []
    for figures in found:
        where = f"{figures.network} on {figures.target}"
        if figures.mismatched_bytes != 0:
            missed.append(f"{where}: {figures.mismatched_bytes} bytes differ from the host program")
        if figures.vectors < LEAST_VECTORS:
            missed.append(f"{where}: {figures.vectors} test vectors, and must be at least {LEAST_VECTORS}")
        if figures.max_lsb is not None and figures.max_lsb > MOST_LSB and figures.max_lsb_reason is None:
            missed.append(f"{where}: {figures.max_lsb:g} LSB from ONNX Runtime without a reason")
        baseline = baselines.get((figures.network, figures.cpu))
        if figures.target == MAIN_TARGET and baseline is not None:
            missed += [f"{where}: {text}" for text in _over(figures, baseline)]
    return missed


def unequal_outputs(found: Iterable[Figures]) -> list[str]:
    """Name every network whose output bytes are not the same on all targets."""
    by_network: dict[str, dict[str, list[str]]] = {}
    for figures in found:
        by_network.setdefault(figures.network, {}).setdefault(figures.outputs_sha256, []).append(figures.target)
    return [
        f"{network}: outputs differ between targets: {' | '.join(' '.join(names) for names in outputs.values())}"
        for network, outputs in by_network.items()
        if len(outputs) > 1
    ]


def as_table(found: Iterable[Figures], baselines: dict[tuple[str, str], Baseline]) -> Table:
    """One row a network and target; `x` columns are ratios to the baseline on the same core."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("network")
    table.add_column("target")
    for heading in ("instructions", "x", "per MAC", "flash", "x", "RAM", "x", "arena", "stack", "bytes off", "LSB"):
        table.add_column(heading, justify="right")
    for figures in found:
        baseline = baselines.get((figures.network, figures.cpu))
        table.add_row(
            figures.network,
            figures.target,
            _count(figures.instructions),
            _ratio(figures.instructions, baseline.instructions if baseline else None),
            "-" if figures.instructions_per_mac is None else f"{figures.instructions_per_mac:.2f}",
            _count(figures.flash_bytes),
            _ratio(figures.flash_bytes, baseline.flash_bytes if baseline else None),
            _count(figures.ram_bytes),
            _ratio(figures.ram_bytes, baseline.ram_bytes if baseline else None),
            _count(figures.arena_bytes),
            _count(figures.stack_bytes),
            _count(figures.mismatched_bytes),
            _count(figures.max_lsb),
        )
    return table


def _print(found: list[Figures], baselines: dict[tuple[str, str], Baseline]) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    console.print(as_table(found, baselines))
    reasons = {figures.network: figures.max_lsb_reason for figures in found if figures.max_lsb_reason is not None}
    for network, reason in reasons.items():
        console.print(f"{network}: {reason}")


def _over(figures: Figures, baseline: Baseline) -> list[str]:
    most = MOST_INSTRUCTIONS * baseline.instructions
    missed: list[str] = []
    if figures.instructions is None or figures.instructions > most:
        missed.append(f"{_count(figures.instructions)} instructions, and must be at most {most:,.0f}")
    if figures.flash_bytes is None or figures.flash_bytes >= baseline.flash_bytes:
        missed.append(f"{_count(figures.flash_bytes)} bytes of flash, and must be below {baseline.flash_bytes:,}")
    if figures.ram_bytes is None or figures.ram_bytes >= baseline.ram_bytes:
        missed.append(f"{_count(figures.ram_bytes)} bytes of RAM, and must be below {baseline.ram_bytes:,}")
    return missed


def _as_json(figures: Figures, baselines: dict[tuple[str, str], Baseline]) -> dict[str, object]:
    baseline = baselines.get((figures.network, figures.cpu))
    return {
        **asdict(figures),
        "instructions_per_mac": figures.instructions_per_mac,
        "baseline": None if baseline is None else asdict(baseline),
    }


def _digest_of_vectors(built: bundle.Bundle) -> str:
    """Hash the test vectors: the inputs, and the outputs that the device reproduced byte for byte."""
    digest = hashlib.sha256()
    for tensors in built.vectors():
        for name in sorted(tensors):
            digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _ratio(value: float | None, baseline: int | None) -> str:
    return "-" if value is None or baseline is None else f"{value / baseline:.2f}"


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", nargs="+", default=[MAIN_TARGET], help="names of shipped targets, or `all`")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS, help="which networks")
    parser.add_argument("--float", action="store_true", help="the float networks instead of the int8 ones")
    parser.add_argument("--optimize", default="balanced", choices=get_args(Optimize), help="what to save")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    arguments = parser.parse_args(words)
    if arguments.targets == ["all"]:
        arguments.targets = target.names()
    arguments.networks = [f"{name}_{'fp32' if arguments.float else 'int8'}" for name in arguments.networks]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
