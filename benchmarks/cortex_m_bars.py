"""The bars: how much of what TFLM takes an MLPerf Tiny network may take on a Cortex-M, and which bars are missed.

baselines/README.md says how the baseline was counted. Cortex-M33 has none of its own and is held against Cortex-M4's;
cores without DSP instructions against TFLM's reference kernels on a Cortex-M4. Float networks have no baseline.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.cortex_m_figures import NETWORKS, Case, Figures, Kind
from edgecompress.core.values import Optimize

Metric = Literal["instructions", "flash_bytes", "ram_bytes"]
Variant = Literal["speed", "reference"]

BASELINE = Path(__file__).parent / "baselines" / "cortex_m_tflm.csv"
DSP_BOARDS = {"mps2-an386": "cortex-m4", "mps2-an500": "cortex-m7", "mps2-an505": "cortex-m4"}
HELIUM_BOARDS = {"mps3-an547": "cortex-m55"}
PLAIN_BOARDS = {"mps2-an385": "cortex-m4", "mps2-an385-m0plus": "cortex-m4", "microbit": "cortex-m4"}
BASELINE_CORE = DSP_BOARDS | HELIUM_BOARDS | PLAIN_BOARDS
"""The core of the baseline that a board is held against."""
LANES = {"cortex-m4": 2, "cortex-m7": 2, "cortex-m33": 2, "cortex-m55": 16}
"""int8 products that one instruction of a core multiplies and adds: SMLAD, VMLADAVA; a core without them does one."""

MOST_INSTRUCTIONS_A_FLOAT_MAC = 2.5
NETWORKS_WITH_FLOAT_BAR = ("ic_resnet8", "ad_autoencoder")
MOST_LSB = 1
"""A larger distance from ONNX Runtime comes with its reason."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One kind of bar: what is held, in which mode, on which boards, against which kernels of TFLM.

    `most` are the largest ratios that may be reached, in the order of NETWORKS.
    """

    title: str
    metric: Metric
    mode: Optimize
    boards: Mapping[str, str]
    variant: Variant = "speed"
    most: tuple[float, ...]

    def most_of(self, network: str) -> float:
        """The largest ratio that a network may reach."""
        return self.most[NETWORKS.index(network)]


ROWS = (
    Row(
        title="M4, M7, M33: instructions, mode speed",
        metric="instructions",
        mode="speed",
        boards=DSP_BOARDS,
        most=(0.55, 0.33, 0.52, 0.65, 0.55),
    ),
    Row(
        title="M55: instructions, mode speed",
        metric="instructions",
        mode="speed",
        boards=HELIUM_BOARDS,
        most=(0.80, 0.45, 0.88, 0.45, 0.90),
    ),
    Row(
        title="flash, mode size",
        metric="flash_bytes",
        mode="size",
        boards=DSP_BOARDS | HELIUM_BOARDS,
        most=(0.45, 0.20, 0.72, 0.91, 0.58),
    ),
    Row(
        title="RAM, mode ram",
        metric="ram_bytes",
        mode="ram",
        boards=DSP_BOARDS | HELIUM_BOARDS,
        most=(0.55, 0.58, 0.92, 0.70, 0.75),
    ),
    Row(
        title="M0, M0+, M3: instructions, mode speed (TFLM: reference)",
        metric="instructions",
        mode="speed",
        boards=PLAIN_BOARDS,
        variant="reference",
        most=(0.5, 0.5, 0.5, 0.5, 0.5),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What TFLM takes for a network on a core."""

    instructions: int
    flash_bytes: int
    ram_bytes: int


Baselines = Mapping[tuple[str, str, str], Baseline]
"""By network, core and variant of TFLM's kernels."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A bar and what was measured: `value` may be at most `most` times `baseline`."""

    network: str
    target: str
    row: str
    metric: Metric
    mode: Optimize
    value: float
    baseline: int
    most: float

    @property
    def ratio(self) -> float:
        """How many times the baseline was taken."""
        return self.value / self.baseline

    @property
    def is_missed(self) -> bool:
        """True when it is more than the bar allows."""
        return self.ratio > self.most


def read_baselines(path: Path = BASELINE) -> Baselines:
    """Read what TFLM takes."""
    with path.open(newline="") as file:
        return {
            (row["model"].removesuffix("_int8"), row["core"], row["variant"]): Baseline(
                instructions=int(row["instructions"]),
                flash_bytes=int(row["flash_bytes"]),
                ram_bytes=int(row["ram_bytes"]),
            )
            for row in csv.DictReader(file)
        }


def baseline_of(figures: Figures, baselines: Baselines) -> Baseline:
    """What figures of an int8 network stand beside: TFLM with CMSIS-NN, or its reference kernels on a plain core."""
    variant = "reference" if figures.target in PLAIN_BOARDS else "speed"
    return baselines[figures.network, BASELINE_CORE[figures.target], variant]


def bound(figures: Figures) -> float:
    """The instructions that no program goes below: the executed MACs over what one instruction multiplies and adds."""
    return figures.macs / LANES.get(figures.cpu, 1)


def all_cases(networks: Iterable[str], kind: Kind = "int8") -> Iterator[Case]:
    """List what must be measured for every bar and every table."""
    for network in networks:
        boards = DSP_BOARDS if kind == "fp32" else BASELINE_CORE
        for board in boards:
            if kind == "fp32":
                yield Case(network=network, target=board, modes=("speed",), kind=kind)
            elif board in PLAIN_BOARDS:
                yield Case(network=network, target=board, modes=("speed", "balanced", "ram"))
            else:
                yield Case(network=network, target=board, modes=("speed", "balanced", "size", "ram"))


def hold(found: Iterable[Figures], baselines: Baselines) -> list[Held]:
    """Set every figure that has a bar beside it."""
    return [
        Held(
            network=figures.network,
            target=figures.target,
            row=row.title,
            metric=row.metric,
            mode=row.mode,
            value=getattr(figures, row.metric),
            baseline=getattr(baselines[figures.network, row.boards[figures.target], row.variant], row.metric),
            most=row.most_of(figures.network),
        )
        for figures in found
        for row in ROWS
        if figures.kind == "int8" and figures.mode == row.mode and figures.target in row.boards
    ]


def missed_bars(held: Iterable[Held]) -> list[str]:
    """Name every bar that is missed."""
    return [
        f"{each.network} on {each.target}, mode {each.mode}: {each.metric} {each.value:,.0f}, {each.ratio:.3f} "
        f"of TFLM's {each.baseline:,}, and must be at most {each.most:.2f}"
        for each in held
        if each.is_missed
    ]


def missed_float_bars(found: Iterable[Figures]) -> list[str]:
    """Name every float network that takes too many instructions a multiplication."""
    return [
        f"{figures.network}, float, on {figures.target}: {figures.instructions_per_mac:.2f} instructions a MAC, "
        f"and must be at most {MOST_INSTRUCTIONS_A_FLOAT_MAC}"
        for figures in found
        if figures.kind == "fp32"
        and figures.network in NETWORKS_WITH_FLOAT_BAR
        and figures.instructions_per_mac is not None
        and figures.instructions_per_mac > MOST_INSTRUCTIONS_A_FLOAT_MAC
    ]


def unexplained(found: Iterable[Figures]) -> list[str]:
    """Name every network that is further from ONNX Runtime than a step, without a reason."""
    return [
        f"{figures.network} on {figures.target}: {figures.max_lsb:g} LSB from ONNX Runtime without a reason"
        for figures in found
        if figures.max_lsb is not None and figures.max_lsb > MOST_LSB and figures.max_lsb_reason is None
    ]
