"""Time networks on this machine beside ONNX Runtime, LiteRT, ncnn and OpenVINO, in one run: `cortex_a.py --host`.

Each runtime is a process with one network and so many threads. In every round each of them computes for a while, one
after the other, so that what else the machine does falls on all; a figure is the least time of one inference over all
rounds. What a runtime's Python binding adds to an inference is in its figure: some microseconds.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import cortex_a_host_models as peer_models
from benchmarks.cortex_a_counts import Precision
from edgecompress import compile as compiler
from edgecompress.core import bundle as bundles
from edgecompress.core import target as targets
from edgecompress.core.device import Device
from edgecompress.core.target import Target
from edgecompress.core.values import Array, Model
from edgecompress.deploy import local

RUNTIMES = ("onnxruntime", "litert", "ncnn", "openvino")
THREADS = (1, 2)
ROUNDS = 60
SECONDS = 0.04
"""That a runtime computes in a round."""

MOST_OF_FASTEST = {"float32": 1.05, "int8": 1.3}
"""Of the fastest other runtime's time, with one thread."""

LEAST_SPEED_UP = 1.7
SPREAD_NETWORK = "resnet18"
SPREAD_THREADS = 2
"""Two threads are so many times faster than one on this network."""

_ON_ONE_THREAD = "edgecompress on one thread"

LARGEST_DIFFERENCE = {"float32": 1e-2, "int8": 0.1}
"""From ONNX Runtime's output, by its largest magnitude: what is more is another network."""

_WORKER = Path(__file__).with_name("cortex_a_host_peers.py")
_AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}
_PROFILES = (
    ("x86-64-amx", {*_AVX512, "avx512_vnni", "amx_tile", "amx_int8"}),
    ("x86-64-vnni", {*_AVX512, "avx512_vnni"}),
    ("x86-64-v4", _AVX512),
    ("x86-64-v3", {"avx2", "fma"}),
    ("x86-64", set[str]()),
)
"""The best one first, and what /proc/cpuinfo must list for it."""


@dataclass(frozen=True, kw_only=True)
class HostCase:
    """One network in one precision on so many threads of this machine."""

    network: str
    precision: Precision
    threads: int


@dataclass(frozen=True, kw_only=True)
class Timed:
    """The least nanoseconds of an inference by runtime, ours as `edgecompress`; who is missing, and why.

    `on_one_thread` is ours with one thread, `speed_up` how many times longer that takes, the median of all rounds.
    """

    case: HostCase
    nanoseconds: Mapping[str, float]
    on_one_thread: float
    speed_up: float
    versions: Mapping[str, str]
    missing: Mapping[str, str]

    @property
    def fastest(self) -> str | None:
        """The fastest other runtime, if there is one."""
        others = {name: time for name, time in self.nanoseconds.items() if name != "edgecompress"}
        return min(others, key=lambda name: others[name]) if others else None

    @property
    def ratio(self) -> float | None:
        """Our time over the fastest other runtime's."""
        return self.nanoseconds["edgecompress"] / self.nanoseconds[self.fastest] if self.fastest else None


@dataclass(frozen=True, kw_only=True)
class HostBar:
    """A ratio against its bar; `least` where it must not be less."""

    what: str
    value: float
    limit: float
    least: bool = False

    @property
    def is_missed(self) -> bool:
        """True when it is on the wrong side."""
        return self.value < self.limit if self.least else self.value > self.limit

    def __str__(self) -> str:
        return f"{self.what}: {self.value:.2f}, {'at least' if self.least else 'at most'} {self.limit}"


class _Contestant(Protocol):
    """A process that computes one network; `version` is the runtime's."""

    version: str

    def least(self, seconds: float) -> float:
        """Compute for so long; the least nanoseconds of an inference."""

    def close(self) -> None:
        """End the process."""


class _Peer:
    """Another runtime, in a Python of its own."""

    def __init__(self, words: Sequence[str | Path], computed: Path) -> None:
        self._name = " ".join(map(str, words))
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._read()
        self.output: Array = np.load(computed)

    def least(self, seconds: float) -> float:
        """Ask it to compute."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return float(self._read())

    def close(self) -> None:
        """End its input, so that it ends."""
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{self._name} ended with {self._process.wait()}")
        return line


class _Ours:
    """The program that a board would get, as a process; it times each inference itself."""

    version = ""

    def __init__(self, device: Device, inputs: Mapping[str, Array]) -> None:
        self._device, self._inputs = device, inputs
        self._tick_ns = 1e9 / device.describe().ticks_per_second
        self._ns = float(min(device.run(inputs, 3).ticks)) * self._tick_ns

    def least(self, seconds: float) -> float:
        """Ask for as many inferences as fit."""
        repeat = max(1, min(4000, int(seconds * 1e9 / self._ns)))
        return float(min(self._device.run(self._inputs, repeat).ticks)) * self._tick_ns

    def close(self) -> None:
        """End the program."""
        self._device.close()


def profile() -> Target:
    """The best profile for this machine, as a process here."""
    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    name = next(name for name, needed in _PROFILES if needed <= set(flags.split()))
    return targets.load(name).model_copy(update={"link": "local"})


def measure(cases: Iterable[HostCase], folder: Path, python: Path | None, progress: Console) -> list[Timed]:
    """Time the cases; the other runtimes are those of `python`, or of an environment that is made for them."""
    python = python or peer_models.make_environment()
    target = profile()
    timed = []
    for case in cases:
        progress.print(f"{case.network} {case.precision}, {case.threads} thread{'s' * (case.threads > 1)} ...")
        timed.append(_time(case, target, folder, python))
    return timed


def _time(case: HostCase, target: Target, folder: Path, python: Path) -> Timed:
    model = peer_models.load_model(case.network, case.precision, folder)
    files = peer_models.write(model, case.network, case.precision, folder, python)
    missing = dict(files.missing)
    rounds: dict[str, list[float]] = {}
    with ExitStack() as stack:
        counts = dict.fromkeys((case.threads, 1))
        ours = {count: _start_ours(replace(case, threads=count), model, target, folder, files) for count in counts}
        contestants: list[tuple[str, _Contestant]] = [(_name(count, case), each) for count, each in ours.items()]
        peers: list[tuple[str, _Peer]] = []
        for runtime in RUNTIMES:
            for file in files.files.get(runtime, ()):
                computed = folder / "computed.npy"
                words: list[str | Path] = [python, _WORKER, runtime, file, str(case.threads), files.values, computed]
                try:
                    peers.append((runtime, _Peer(words, computed)))
                except RuntimeError as error:
                    missing[runtime] = str(error)
        _check_outputs(case, peers, missing)
        contestants += [(name, peer) for name, peer in peers if name not in missing]
        for _, each in [*contestants, *peers]:
            stack.callback(each.close)
        for _ in range(ROUNDS):
            for name, each in contestants:
                rounds.setdefault(name, []).append(each.least(SECONDS))
    versions = {name: each.version for name, each in contestants if each.version}
    alone = rounds[_name(1, case)]
    speed_ups = [one / several for one, several in zip(alone, rounds["edgecompress"], strict=True)]
    return Timed(
        case=case,
        nanoseconds={name: min(times) for name, times in rounds.items() if name != _ON_ONE_THREAD},
        on_one_thread=min(alone),
        speed_up=statistics.median(speed_ups),
        versions=versions,
        missing=missing,
    )


def _name(threads: int, case: HostCase) -> str:
    return "edgecompress" if threads == case.threads else _ON_ONE_THREAD


def _check_outputs(case: HostCase, peers: Sequence[tuple[str, _Peer]], missing: dict[str, str]) -> None:
    """Leave out who computes something else than ONNX Runtime does: its file would be of another network."""
    reference = next((peer.output for name, peer in peers if name == "onnxruntime"), None)
    if reference is None:
        return
    for name, peer in peers:
        difference = np.abs(peer.output.ravel().astype(np.float64) - reference.ravel())
        relative = float(difference.max() / np.abs(reference.astype(np.float64)).max())
        if relative > LARGEST_DIFFERENCE[case.precision]:
            missing[name] = f"computes something else: {relative:.1g} from ONNX Runtime"


def _start_ours(case: HostCase, model: Model, target: Target, folder: Path, files: peer_models.PeerFiles) -> _Ours:
    place = folder / f"{case.network}-{case.precision}-{target.name}"
    if not place.exists():
        compiler.build(model, target, place, optimize="speed")
    bundle = bundles.load(place)
    device = local.connect(target)
    device.install(bundle)
    device.use_threads(case.threads)
    return _Ours(device, {model.inputs[0].name: np.load(files.values)[0]})


def hold(timed: Sequence[Timed]) -> list[HostBar]:
    """Hold the figures against the bars."""
    bars = [
        HostBar(
            what=f"{each.case.network} {each.case.precision} over {each.fastest}",
            value=each.ratio,
            limit=MOST_OF_FASTEST[each.case.precision],
        )
        for each in timed
        if each.case.threads == 1 and each.ratio is not None
    ]
    for each in timed:
        if each.case.network == SPREAD_NETWORK and each.case.threads == SPREAD_THREADS:
            what = f"{SPREAD_NETWORK} {each.case.precision}, two threads beside one"
            bars.append(HostBar(what=what, value=each.speed_up, limit=LEAST_SPEED_UP, least=True))
    return bars


def as_json(timed: Sequence[Timed]) -> dict[str, object]:
    """All figures and the bars."""
    return {
        "figures": [
            {
                "network": each.case.network,
                "precision": each.case.precision,
                "threads": each.case.threads,
                "target": profile().name,
                "milliseconds": {name: time / 1e6 for name, time in each.nanoseconds.items()},
                "versions": dict(each.versions),
                "missing": dict(each.missing),
                "ratio": each.ratio,
                "milliseconds_on_one_thread": each.on_one_thread / 1e6,
                "speed_up": each.speed_up,
            }
            for each in timed
        ],
        "bars": [
            {"what": bar.what, "value": bar.value, "limit": bar.limit, "missed": bar.is_missed} for bar in hold(timed)
        ],
    }


def table(timed: Sequence[Timed]) -> Table:
    """Milliseconds, ours over the fastest, and who is missing."""
    result = Table(
        box=None,
        title=f"Milliseconds an inference, least of {ROUNDS} rounds (speed-ups: median); ours for {profile().name}",
    )
    for name in ("network", "precision", "threads", "ours", *RUNTIMES, "x fastest", "x one thread", "missing"):
        result.add_column(name, justify="left" if name in ("network", "precision", "missing") else "right")
    for each in timed:
        case = each.case
        figures = [
            f"{each.nanoseconds[name] / 1e6:.4f}" if name in each.nanoseconds else "-"
            for name in ("edgecompress", *RUNTIMES)
        ]
        ratio = f"{each.ratio:.2f}" if each.ratio is not None else "-"
        speed_up = f"{each.speed_up:.2f}" if case.threads > 1 else ""
        missing = "; ".join(f"{name}: {why}" for name, why in each.missing.items())
        result.add_row(case.network, case.precision, str(case.threads), *figures, ratio, speed_up, missing)
    return result


def report(timed: Sequence[Timed], console: Console, *, progress: Console) -> bool:
    """Print the table, and each bar that is missed; True when all are held."""
    console.print(table(timed))
    missed = [bar for bar in hold(timed) if bar.is_missed]
    for bar in missed:
        progress.print(f"missed: {bar}", soft_wrap=True)
    return not missed
