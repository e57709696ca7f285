"""Layers of few different weights: drawn ones keep indices, and give their definition's bytes.

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
from edgecompress.compile.integer.layers import NO_CLAMP, Convolution, FullyConnected, Network, Value
from edgecompress.compile.integer.saving import FLASH
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Program
from edgecompress.core.bundle import run_host_program
from edgecompress.core.values import TensorSpec

FAMILIES: dict[str, tuple[str, ...]] = {
    "generic": (),
    "dsp": ("dsp",),
    "mve": ("dsp", "mve"),
    "thumb": ("thumb1",),
}
SAMPLES = 3
IMAGE = Window(height=6, width=5, channels=16, kernel=(3, 3), padding=(1, 1, 1, 1))
CASES = (
    # window, output channels (0: depthwise), groups, values of the weights
    (IMAGE, 12, 1, 16),
    (Window(height=6, width=7, channels=64, kernel=(1, 1)), 60, 1, 16),
    (Window(height=7, width=7, channels=24, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)), 21, 1, 8),
    (Window(height=6, width=6, channels=30, kernel=(3, 3)), 20, 1, 4),
    (Window(height=6, width=5, channels=76, kernel=(3, 3), padding=(1, 1, 1, 1)), 0, 76, 16),
    (Window(height=1, width=1, channels=256, kernel=(1, 1)), 40, 1, 13),
)


def weights_of(random: np.random.Generator, shape: tuple[int, ...], count: int) -> np.ndarray:
    """Draw weights from `count` values, 0 among them, as what a kernel pads with."""
    values = np.concatenate([[0], random.permutation(np.setdiff1d(np.arange(-127, 128), [0]))[: count - 1]])
    return random.choice(values, shape).astype(np.int8)


def layer(name: str, number: int) -> Convolution | FullyConnected:
    window, outputs, groups, count = CASES[number]
    random = np.random.default_rng(number)
    outputs = outputs or window.channels
    shape = (outputs, *window.kernel, window.channels // groups)
    weights = weights_of(random, shape, count)
    scales = random.uniform(0.5, 2, outputs) / (3000 * np.sqrt(weights[0].size))
    source = Value(
        name=f"{name}_in",
        shape=(1, window.height, window.width, window.channels),
        scale=0.5,
        zero_point=int(random.integers(-128, 128)),
    )
    common = {
        "nodes": (name,),
        "weight_scales": scales.astype(np.float32),
        "bias": random.integers(-900, 900, outputs),
        "clamp": NO_CLAMP,
    }
    zero = int(random.integers(-128, 128))
    if window.height * window.width == 1:
        return FullyConnected(
            inputs=(dataclasses.replace(source, shape=(1, window.channels)),),
            output=Value(name=name, shape=(1, outputs), scale=0.25, zero_point=zero),
            weights=weights.reshape(outputs, -1),
            rows=1,
            **common,
        )
    image = (1, window.output_height, window.output_width, outputs)
    return Convolution(
        inputs=(source,),
        output=Value(name=name, shape=image, scale=0.25, zero_point=zero),
        weights=weights,
        window=window,
        groups=groups,
        **common,
    )


def spec(value: Value) -> TensorSpec:
    return TensorSpec(name=value.name, shape=value.shape, dtype="int8")


def network_of(layers: list[Convolution | FullyConnected]) -> Network:
    return Network(
        name="layers",
        inputs=tuple(spec(each.inputs[0]) for each in layers),
        outputs=tuple(spec(each.output) for each in layers),
        layers=tuple(layers),
    )


def joined(programs: list[Program]) -> Program:
    return dataclasses.replace(
        programs[0],
        inputs=tuple(each for one in programs for each in one.inputs),
        outputs=tuple(each for one in programs for each in one.outputs),
        constants={name: values for one in programs for name, values in one.constants.items()},
        calls=tuple(call for one in programs for call in one.calls),
        kernels={name: kernel for one in programs for name, kernel in one.kernels.items()},
        cuts={name: cut for one in programs for name, cut in one.cuts.items()},
    )


def test_indices_give_the_bytes_of_their_layers_definition(tmp_path: Path) -> None:
    layers = {family: [layer(f"{family}_{i}", i) for i in range(len(CASES))] for family in FAMILIES}
    # One by one, so that no layer finds RAM that another one needs: then most are cut into parts.
    programs = [
        emit(network_of([each]), FAMILIES[family], saves=FLASH) for family, found in layers.items() for each in found
    ]
    program = joined(programs)
    lowered = lowering.lower_and_plan(program)
    arena = spread(lowered.arena)
    built = build(tmp_path / "layers", lowered, arena, poison_source(arena), sanitize=True)
    random = np.random.default_rng(7)
    everything = [each for found in layers.values() for each in found]
    images = {
        each.inputs[0].name: random.integers(-128, 128, (SAMPLES, *each.inputs[0].shape)).astype(np.int8)
        for each in everything
    }

    outputs = run_host_program(built, program.inputs, program.outputs, images)

    assert [call.name for call in program.calls if "codebook_" not in call.kernel] == []
    assert {call.name.split("_")[0] for call in program.calls if "two_words_" in call.kernel} == set(FAMILIES)
    for each in everything:
        shape = each.inputs[0].shape[-3:]
        wanted = [int8_reference.apply(each, (image.reshape(shape),)) for image in images[each.inputs[0].name]]
        assert np.array_equal(outputs[each.output.name].reshape(SAMPLES, -1), np.stack(wanted).reshape(SAMPLES, -1)), (
            each.output.name
        )
