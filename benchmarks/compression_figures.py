"""What a compression method makes of a network: trained, compressed, scored, and measured on an emulated board."""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.compression_cases import INT8, Case, Network
from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import plugins, target
from edgecompress.core.errors import EdgecompressError
from edgecompress.core.recipe import Step
from edgecompress.core.values import Context, Evidence, Model, no_progress
from edgecompress.deploy import qemu
from edgecompress.measure import accuracy, latency, memory
from edgecompress.measure.networks import score, size
from edgecompress.models import onnx_file
from examples.digits import networks, train

TARGET = "mps2-an386"


@dataclass(frozen=True, kw_only=True)
class LayerFlash:
    """A layer's kernel, and its weights and tables in bytes."""

    kernel: str
    weight_bytes: int


@dataclass(frozen=True, kw_only=True)
class OnDevice:
    """What the int8 network takes on the board, less an empty network's firmware; accuracy by the board's answers."""

    flash_bytes: int
    ram_bytes: int
    instructions: int
    accuracy: float | None
    code_bytes: int
    layers: tuple[LayerFlash, ...]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One case: accuracies by seed before and after, sizes of the first seed's network, and what the board showed.

    `missing` says why there are no figures of the board.
    """

    case: Case
    before: tuple[float, ...]
    after: tuple[float, ...]
    parameters: int
    macs: int
    stored_bytes: int
    stored_before: int
    device: OnDevice | None = None
    missing: str | None = None

    @property
    def lost(self) -> float:
        """Percentage points of accuracy lost, the mean over the seeds."""
        return 100 * (statistics.fmean(self.before) - statistics.fmean(self.after))


def measure(case: Case, seeds: int, folder: Path, *, on_device: bool) -> Figures:
    """Try a case with every seed; the board sees the first one's network."""
    pairs = [(trained(case.network, seed), seed) for seed in range(seeds)]
    results = [compressed(model, case, seed) for model, seed in pairs]
    first = {each.metric: each.value or 0 for each in size.read(results[0])}
    given = {each.metric: each.value or 0 for each in size.read(pairs[0][0])}
    device, missing = _on_device(results[0], case, folder) if on_device else (None, "not asked for")
    return Figures(
        case=case,
        before=tuple(accuracy_of(model) for model, _ in pairs),
        after=tuple(accuracy_of(model) for model in results),
        parameters=int(first["parameters"]),
        macs=int(first["macs"]),
        stored_bytes=int(first["stored_bytes"]),
        stored_before=int(given["stored_bytes"]),
        device=device,
        missing=missing,
    )


@functools.cache
def trained(network: Network, seed: int) -> Model:
    """Train a network of examples/digits, or make the student without training it."""
    torch.set_num_threads(1)
    if network != "student":
        return train.as_onnx(train.trained(network, seed=seed), network)
    torch.manual_seed(seed)
    return train.as_onnx(networks.student(), network)


def compressed(model: Model, case: Case, seed: int) -> Model:
    """Apply the case's steps with this seed."""
    for step in case.steps:
        model = _applied(model, step, seed)
    return model


def accuracy_of(model: Model) -> float:
    """Top-1 accuracy of the exported graph under ONNX Runtime, on the digits that nothing was trained with."""
    found = score.read(model, model, train.samples().evaluation, "", no_progress)
    if found.value is None:
        raise RuntimeError(f"{model.name}: {found.missing}")
    return found.value


def _applied(model: Model, step: Step, seed: int) -> Model:
    method = plugins.find("compress", step.method, where="the benchmark")
    seeded = {"seed": seed} if "seed" in method.Options.model_fields else {}
    multiple = target.load(TARGET).channel_multiple
    context = Context(
        data=train.samples(),
        where=f"the benchmark ({step.method})",
        base=train.FOLDER,
        channel_multiple=multiple,
        load_model=models.load,
    )
    changed: Model = method.apply(model, {**step.options, **seeded}, context)
    return changed


def _on_device(model: Model, case: Case, folder: Path) -> tuple[OnDevice | None, str | None]:
    board, samples = target.load(TARGET), train.samples().evaluation
    try:
        integer = model if model.is_quantized else _applied(model, INT8, 0)
        with _saved(integer, folder) as path:
            given, bundle_folder = models.load(path), folder / "bundle"
            bundle = compiler.build(given, board, bundle_folder, samples=samples, optimize=case.optimize)
    except EdgecompressError as error:
        return None, error.message.splitlines()[0]
    evidence = Evidence(model=integer, baseline=integer, evaluation=samples, repeat=1)
    with qemu.connect(board, None) as device:
        device.install(bundle)
        found = {
            metric.metric: metric.value
            for module in (memory, latency, accuracy)
            for metric in module.read(device, bundle, evidence).metrics
            if metric.stage in (None, "device")
        }
    sizes = bundle.manifest.sizes
    return OnDevice(
        flash_bytes=int(found["flash_bytes"] or 0),
        ram_bytes=int(found["ram_bytes"] or 0),
        instructions=int(found["latency_instructions"] or 0),
        accuracy=found["accuracy"],
        code_bytes=sizes.code_bytes,
        layers=tuple(
            LayerFlash(kernel=layer.kernel, weight_bytes=layer.weight_bytes) for layer in bundle.manifest.layers
        ),
    ), None


@contextlib.contextmanager
def _saved(model: Model, folder: Path) -> Iterator[Path]:
    """Give the network as a file, as the product's stages see it."""
    path = folder / "network.onnx"
    onnx_file.save(model, path)
    yield path
    path.unlink()
