"""Matrix products in mode size: drawn layers with small weights are packed, and give their definition's bytes.

The C is built for this machine, with the sanitizers, every tensor apart and poison between them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import int8_reference
import numpy as np
from poisoned_arena import build, poison_source, spread

from edgecompress.compile import lowering
from edgecompress.compile.integer.emit import emit
from edgecompress.compile.integer.layers import NO_CLAMP, FullyConnected, Network, Value
from edgecompress.compile.integer.saving import Saving
from edgecompress.compile.program import Program
from edgecompress.core.bundle import run_host_program
from edgecompress.core.values import TensorSpec

FAMILIES: dict[str, tuple[str, ...]] = {"generic": (), "dsp": ("dsp",), "mve": ("dsp", "mve")}
SAMPLES = 3
SHAPES = (
    # inputs, outputs, largest weight, one scale for all outputs
    (128, 64, 7, True),
    (131, 60, 15, True),
    (640, 32, 3, False),
    (250, 48, 1, False),
    (77, 105, 20, False),
    (1024, 33, 2, True),
    (96, 96, 0, True),
)


def layer(name: str, number: int) -> FullyConnected:
    inputs, outputs, largest, one_scale = SHAPES[number]
    random = np.random.default_rng(number)
    scales = random.uniform(0.5, 2, 1 if one_scale else outputs) / (30 * np.sqrt(inputs) * (largest + 1))
    return FullyConnected(
        inputs=(Value(name=f"{name}_in", shape=(1, inputs), scale=0.5, zero_point=int(random.integers(-128, 128))),),
        output=Value(name=name, shape=(1, outputs), scale=0.25, zero_point=int(random.integers(-128, 128))),
        nodes=(name,),
        weights=random.integers(-largest, largest + 1, (outputs, inputs)).astype(np.int8),
        weight_scales=np.broadcast_to(scales, outputs).astype(np.float32),
        bias=random.integers(-900, 900, outputs),
        clamp=NO_CLAMP,
        rows=1,
    )


def spec(value: Value) -> TensorSpec:
    return TensorSpec(name=value.name, shape=value.shape, dtype="int8")


def program_of(family: str, layers: list[FullyConnected]) -> Program:
    network = Network(
        name="products",
        inputs=tuple(spec(each.inputs[0]) for each in layers),
        outputs=tuple(spec(each.output) for each in layers),
        layers=tuple(layers),
    )
    return emit(network, FAMILIES[family], "size", saves=Saving(saves="flash"))


def test_small_weights_give_the_bytes_of_their_layers_definition(tmp_path: Path) -> None:
    layers = {family: [layer(f"{family}_{i}", i) for i in range(len(SHAPES))] for family in FAMILIES}
    programs = [program_of(family, found) for family, found in layers.items()]
    program = dataclasses.replace(
        programs[0],
        inputs=tuple(each for one in programs for each in one.inputs),
        outputs=tuple(each for one in programs for each in one.outputs),
        constants={name: values for one in programs for name, values in one.constants.items()},
        calls=tuple(call for one in programs for call in one.calls),
        kernels={name: kernel for one in programs for name, kernel in one.kernels.items()},
        cuts={name: cut for one in programs for name, cut in one.cuts.items()},
    )
    lowered = lowering.lower_and_plan(program)
    arena = spread(lowered.arena)
    built = build(tmp_path / "products", lowered, arena, poison_source(arena), sanitize=True)
    random = np.random.default_rng(7)
    everything = [each for found in layers.values() for each in found]
    images = {
        each.inputs[0].name: random.integers(-128, 128, (SAMPLES, *each.inputs[0].shape)).astype(np.int8)
        for each in everything
    }

    outputs = run_host_program(built, program.inputs, program.outputs, images)

    assert [one.kernel for one in program.calls if "packed" not in one.kernel] == []
    assert len({one.kernel for one in program.calls if "one_scale" in one.kernel}) > 1
    for each in everything:
        wanted = [int8_reference.apply(each, (image,)) for image in images[each.inputs[0].name]]
        assert np.array_equal(outputs[each.output.name].reshape(SAMPLES, -1), np.stack(wanted).reshape(SAMPLES, -1))
