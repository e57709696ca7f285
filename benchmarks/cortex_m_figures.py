"""What an MLPerf Tiny network takes on a Cortex-M target: built and measured through the product's own stages.

Instructions are those of an emulator and no cycles: no caches, no wait states, no dual issue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, Protocol

from edgecompress import models, pipeline
from edgecompress.core import files, target
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import DoesNotFitError
from edgecompress.core.run_folder import Silent
from edgecompress.core.values import Evidence, Measurement, Model, Optimize
from edgecompress.measure import fidelity, latency, memory

NETWORKS = ("kws_dscnn", "vww_mobilenetv1_025", "ic_resnet8", "ad_autoencoder", "sww_stream")
FOLDER = Path(__file__).parents[1] / "examples" / "mlperf_tiny"
OWN_TARGETS = Path(__file__).parent / "targets"
MAIN_TARGET = "mps2-an386"
"""Where outputs are also held against ONNX Runtime's; the other targets give the same bytes."""
REPEAT = 1
"""An emulator counts the same every time; more inferences would only take longer."""

DISTANCE = "onnxruntime_max_lsb"
Kind = Literal["int8", "fp32"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network to measure on a target, in some modes."""

    network: str
    target: str
    modes: tuple[Optimize, ...]
    kind: Kind = "int8"

    @property
    def source(self) -> Path:
        """The network's file."""
        return FOLDER / f"{self.network}_{self.kind}.onnx"


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a network takes on a target in a mode; a figure that the target cannot give is None.

    `macs` are those that are executed: without channels that the compiler found dead. The outputs of all `vectors`
    were the host program's, byte for byte; `outputs_sha256` is a hash of them and their inputs. `max_lsb` is the
    distance from ONNX Runtime, on the main target only.
    """

    network: str
    target: str
    cpu: str
    mode: Optimize
    kind: Kind
    macs: int
    instructions: float | None
    flash_bytes: float | None
    ram_bytes: float | None
    arena_bytes: int
    stack_bytes: float | None
    vectors: int
    outputs_sha256: str
    max_lsb: float | None = None
    max_lsb_reason: str | None = None

    @property
    def instructions_per_mac(self) -> float | None:
        """Everything included: padding, requantisation, softmax."""
        return None if self.instructions is None else self.instructions / self.macs


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The figures of a case, one for each mode that fits, and why others do not."""

    case: Case
    figures: tuple[Figures, ...]
    too_big: tuple[str, ...] = ()


class Progress(Protocol):
    """Is told what was done."""

    def __call__(self, done: str, /) -> None:
        """Show it."""


def measure_all(cases: Sequence[Case], folder: Path, jobs: int, progress: Progress) -> list[Measured]:
    """Measure all cases, `jobs` at a time, and give them in their order. What `folder` holds is not done again."""
    found: dict[Case, Measured] = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting: dict[Future[Measured], Case] = {pool.submit(measure, case, folder): case for case in cases}
        for done in as_completed(waiting):
            case = waiting[done]
            found[case] = done.result()
            progress(f"{len(found)}/{len(cases)} {case.source.stem} on {case.target}: {' '.join(case.modes)}")
    return [found[case] for case in cases]


def measure(case: Case, folder: Path) -> Measured:
    """Build and measure a network in each mode."""
    figures: list[Figures] = []
    too_big: list[str] = []
    for mode in case.modes:
        try:
            figures.append(_measure(case, mode, folder))
        except DoesNotFitError as error:
            too_big.append(f"mode {mode}: {error.message}")
    return Measured(case=case, figures=tuple(figures), too_big=tuple(too_big))


def load_target(name: str) -> target.Target:
    """Load a shipped target, or one of the benchmark's own."""
    own = OWN_TARGETS / f"{name}.toml"
    return target.load(str(own) if own.exists() else name)


def run_folder(case: Case, mode: Optimize, folder: Path) -> Path:
    """Where a case is built."""
    return folder / "runs" / f"{case.source.stem}-{case.target}-{mode}"


def unequal_outputs(found: Iterable[Figures]) -> list[str]:
    """Name every int8 network whose output bytes are not the same on all targets and in all modes."""
    by_network: dict[str, dict[str, list[str]]] = {}
    for figures in found:
        if figures.kind == "int8":
            outputs = by_network.setdefault(figures.network, {})
            outputs.setdefault(figures.outputs_sha256, []).append(f"{figures.target}/{figures.mode}")
    return [
        f"{network}: outputs differ between targets: {' | '.join(' '.join(names) for names in outputs.values())}"
        for network, outputs in by_network.items()
        if len(outputs) > 1
    ]


def _measure(case: Case, mode: Optimize, folder: Path) -> Figures:
    """Build, and run the emulator unless the same program ran in it before: modes may give the same program."""
    chosen = load_target(case.target)
    run = pipeline.compress(case.source, run_folder(case, mode, folder), Silent())
    bundle = pipeline.compile_network(run, chosen, mode)
    kept = folder / "figures" / f"{bundle.manifest.files[bundle.manifest.program]}.json"
    if kept.exists():
        return replace(Figures(**json.loads(kept.read_text())), mode=mode)
    with pipeline.connect(chosen, pipeline.DeviceChoice()) as device:
        device.install(bundle)
        metrics = _metrics(device, bundle, models.load(run.folder / "model" / "model.onnx"), case)
    figures = Figures(
        network=case.network,
        target=case.target,
        cpu=chosen.cpu,
        mode=mode,
        kind=case.kind,
        macs=sum(layer.macs for layer in bundle.manifest.layers),
        instructions=_value(metrics, "latency_instructions"),
        flash_bytes=_value(metrics, "flash_bytes"),
        ram_bytes=_value(metrics, "ram_bytes"),
        arena_bytes=bundle.manifest.arena.bytes,
        stack_bytes=_value(metrics, "stack_bytes"),
        vectors=bundle.manifest.vectors.count,
        outputs_sha256=_digest_of_vectors(bundle),
        max_lsb=_value(metrics, DISTANCE),
        max_lsb_reason=metrics[DISTANCE].conditions.get("reason") if DISTANCE in metrics else None,
    )
    kept.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(kept, json.dumps(asdict(figures)))
    return figures


def _metrics(device: Device, bundle: Bundle, model: Model, case: Case) -> dict[str, Measurement]:
    """Ask the measuring modules that are needed, by metric."""
    evidence = Evidence(model=model, baseline=model, repeat=REPEAT)
    asked = [latency, memory]
    if case.target == MAIN_TARGET and case.kind == "int8":
        asked.append(fidelity)
    return {metric.metric: metric for module in asked for metric in module.read(device, bundle, evidence).metrics}


def _value(metrics: Mapping[str, Measurement], name: str) -> float | None:
    return metrics[name].value if name in metrics else None


def _digest_of_vectors(bundle: Bundle) -> str:
    """Hash the test vectors: the inputs, and the outputs that the device reproduced byte for byte."""
    digest = hashlib.sha256()
    for tensors in bundle.vectors():
        for name in sorted(tensors):
            digest.update(tensors[name].tobytes())
    return digest.hexdigest()
