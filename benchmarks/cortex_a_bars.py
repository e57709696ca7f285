"""The bars of benchmarks/cortex_a.py: how many instructions a network may take, beside what others were counted at.

A bar `required` must be held; a `goal` is where the project wants to be: the better of ONNX Runtime and LiteRT.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.cortex_a_counts import Case, Counted

PEERS = Path(__file__).parent / "baselines" / "aarch64_peers.csv"
RUNTIMES = ("litert", "onnxruntime", "ncnn")

REQUIRED = {
    ("resnet8", "float32", "cortex-a72"): ("ncnn", 1.2),
    ("resnet18", "float32", "cortex-a72"): ("ncnn", 1.2),
    ("mbv2", "float32", "cortex-a72"): ("litert", 1.1),
}
"""(network, precision, core) -> another runtime, and how many times its instructions may be taken at most."""

GOAL_RUNTIMES = ("litert", "onnxruntime")
GOAL_CORES = {"float32": ("cortex-a72",), "float16": (), "int8": ("cortex-a72", "cortex-a76")}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """What another runtime takes for a case, the best of its variants."""

    runtime: str
    version: str
    instructions: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """A figure against its bar, in instructions."""

    case: Case
    kind: Literal["required", "goal"]
    instructions: int
    limit: int

    @property
    def is_missed(self) -> bool:
        """True when it takes more."""
        return self.instructions > self.limit

    @property
    def verdict(self) -> str:
        """`required held`, or `goal missed` with the limit in millions."""
        return f"{self.kind} {'missed' if self.is_missed else 'held'} ({self.limit / 1e6:.2f})"

    def __str__(self) -> str:
        case = self.case
        return (
            f"{self.kind}: {case.network} {case.precision} on {case.core} takes {self.instructions:,} instructions, "
            f"at most {self.limit:,}"
        )


def read_peers(path: Path = PEERS) -> Mapping[Case, Mapping[str, Peer]]:
    """Read what the others take: case -> runtime -> the best of its variants."""
    peers: dict[Case, dict[str, Peer]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["precision"] not in ("float32", "int8"):
                continue
            case = Case(network=row["model"], precision=row["precision"], core=row["cpu"])  # type: ignore[arg-type]
            peer = Peer(runtime=row["runtime"], version=row["version"], instructions=int(row["instructions"]))
            known = peers.setdefault(case, {}).get(peer.runtime)
            if known is None or peer.instructions < known.instructions:
                peers[case][peer.runtime] = peer
    return peers


def best_of(case: Case, peers: Mapping[Case, Mapping[str, Peer]]) -> Mapping[str, Peer]:
    """What the others take for a case, by runtime; nothing for a core on which nobody counted them.

    Half precision stands beside their floats.
    """
    precision = "float32" if case.precision == "float16" else case.precision
    return peers.get(replace(case, precision=precision), {})


def hold(counted: Iterable[Counted]) -> list[Held]:
    """Hold figures against the bars that there are for them."""
    peers = read_peers()
    held: list[Held] = []
    for each in counted:
        case = each.case
        best = best_of(case, peers)
        required = REQUIRED.get((case.network, case.precision, case.core))
        if required is not None:
            runtime, most = required
            limit = int(most * best[runtime].instructions)
            held.append(Held(case=case, kind="required", instructions=each.instructions, limit=limit))
        if case.core in GOAL_CORES[case.precision]:
            limit = min(best[name].instructions for name in GOAL_RUNTIMES)
            held.append(Held(case=case, kind="goal", instructions=each.instructions, limit=limit))
    return held
