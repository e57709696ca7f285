"""Test vectors: a few inputs, and what the host reference makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecompress.core.bundle import Vectors, run_host_program
from edgecompress.core.values import Array, Samples, TensorSpec

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


def write(
    folder: Path, program: Path, inputs: dict[str, Array], specs: tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]
) -> None:
    """Run the host program on the inputs and save both sides as vectors/{inputs,outputs}_NUMBER.npy."""
    input_specs, output_specs = specs
    outputs = run_host_program(program, input_specs, output_specs, inputs)
    (folder / "vectors").mkdir()
    for kind, kind_specs, values in (("inputs", input_specs, inputs), ("outputs", output_specs, outputs)):
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
