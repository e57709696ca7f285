"""Test vectors: a few inputs, and what the host reference makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from edgecompress.core.bundle import Vectors, run_host_program
from edgecompress.core.tools import Running
from edgecompress.core.values import Array, Samples, TensorSpec
from edgecompress.core.workers import Workers

COUNT = 8
SEED = 20_240_229


def choose_inputs(specs: tuple[TensorSpec, ...], samples: Samples | None) -> tuple[dict[str, Array], Vectors]:
    """Take the first COUNT samples, or make seeded inputs when there are none."""
    if samples is None:
        return seeded_inputs(specs), Vectors(count=COUNT, origin="seeded", seed=SEED)
    inputs = {spec.name: np.ascontiguousarray(samples.inputs[spec.name][:COUNT], dtype=spec.dtype) for spec in specs}
    return inputs, Vectors(count=min(COUNT, samples.count), origin="data")


def seeded_inputs(specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """Draw COUNT samples: integers uniform over their type's whole range, float32 uniform in [0, 1)."""
    generator = np.random.default_rng(SEED)
    return {spec.name: _draw(generator, spec) for spec in specs}


def start(
    workers: Workers,
    program: Path,
    inputs: Mapping[str, Array],
    specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
) -> list[Future[dict[str, Array]]]:
    """Run the host program on the inputs, a share of the samples in each of as many processes as workers."""
    count = len(next(iter(inputs.values())))
    shares = np.array_split(np.arange(count), min(workers.count, count))

    def run(running: Running, share: Array) -> dict[str, Array]:
        values = {name: samples[share] for name, samples in inputs.items()}
        return run_host_program(program, *specs, values, among=running)

    return [workers.start(run, share) for share in shares]


def outputs(runs: Sequence[Future[dict[str, Array]]]) -> dict[str, Array]:
    """Wait for the host program's outputs, and put its shares together."""
    shares = [run.result() for run in runs]
    return {name: np.concatenate([share[name] for share in shares]) for name in shares[0]}


def write(
    folder: Path,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]],
) -> None:
    """Save both sides as vectors/{inputs,outputs}_NUMBER.npy."""
    (folder / "vectors").mkdir()
    for kind, kind_specs, values in (("inputs", specs[0], inputs), ("outputs", specs[1], outputs)):
        for number, spec in enumerate(kind_specs):
            np.save(folder / "vectors" / f"{kind}_{number}.npy", values[spec.name], allow_pickle=False)


def _draw(generator: np.random.Generator, spec: TensorSpec) -> Array:
    shape = (COUNT, *spec.shape[1:])
    if spec.dtype == "float32":
        return generator.random(shape, dtype=np.float32)
    if spec.dtype == "bool":
        return generator.integers(0, 2, shape).astype(np.bool_)
    limits = np.iinfo(spec.dtype)
    return generator.integers(limits.min, limits.max, shape, dtype=spec.dtype, endpoint=True)
