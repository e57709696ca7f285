"""Layers row by row: drawn chains of convolutions and pools give their definitions' bytes, in every family.

The C is built for this machine, with the sanitizers: once with every tensor apart and poison between them, once with
the outputs in the place of the inputs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import int8_reference
import numpy as np
import pytest
from numpy.typing import NDArray
from poisoned_arena import build, poison_source, spread

from edgecompress.compile import lowering
from edgecompress.compile.integer import in_place, layers
from edgecompress.compile.integer.emit import emit
from edgecompress.compile.integer.layers import (
    AveragePool,
    Chain,
    Clamp,
    Convolution,
    MaxPool,
    Network,
    Value,
    Windowed,
)
from edgecompress.compile.kernels import row_chain
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Program
from edgecompress.core.bundle import run_host_program
from edgecompress.core.values import TensorSpec

FAMILIES: dict[str, tuple[str, ...]] = {"generic": (), "dsp": ("dsp",), "mve": ("dsp", "mve")}
CHAINS = 8
SAMPLES = 2


def draw_window(random: np.random.Generator, height: int, width: int, channels: int) -> Window:
    """Draw a window that a chain takes: no rows that nobody sees, and no more rows above than neighbours share."""
    taps, dilation = int(random.integers(1, 5)), int(random.integers(1, 3))
    reach = dilation * (taps - 1) + 1
    stride = int(random.integers(1, min(reach, 3) + 1))
    above = int(random.integers(0, reach - stride + 1))
    below = int(random.integers(max(0, reach - height - above), reach + 1))
    left, right = random.integers(0, 2, 2).tolist()
    return Window(
        height=height,
        width=width,
        channels=channels,
        kernel=(taps, min(3, width)),
        stride=(stride, int(random.integers(1, 3))),
        dilation=(dilation, 1),
        padding=(above, left, below, right),
    )


def draw_layer(random: np.random.Generator, source: Value, name: str) -> Convolution:
    height, width, channels = source.shape
    window = draw_window(random, height, width, channels)
    depthwise = channels % 16 == 0 and random.random() < 0.5
    outputs = channels if depthwise else 16 * int(random.integers(1, 3))
    weights = random.integers(-128, 128, (outputs, *window.kernel, 1 if depthwise else channels)).astype(np.int8)
    spread_of_sums = 30 * np.sqrt(weights[0].size)
    output = Value(
        name=name,
        shape=(window.output_height, window.output_width, outputs),
        scale=0.25,
        zero_point=int(random.integers(-128, 128)),
    )
    return Convolution(
        inputs=(source,),
        output=output,
        nodes=(name,),
        weights=weights,
        weight_scales=(random.uniform(0.5, 2, outputs) * 0.5 / spread_of_sums).astype(np.float32),
        bias=random.integers(-2000, 2000, outputs),
        clamp=Clamp(low=int(random.integers(-128, 0)), high=127),
        window=window,
        groups=channels if depthwise else 1,
    )


def draw_pool(random: np.random.Generator, source: Value, name: str) -> AveragePool | MaxPool:
    """Draw a pool whose windows all see a pixel; an average, over no rows beyond the image."""
    height, width, channels = source.shape
    taps, columns = int(random.integers(1, min(height, 3) + 1)), int(random.integers(1, min(width, 2) + 1))
    kind = (AveragePool, MaxPool)[int(random.integers(2))]
    stride = int(random.integers(1, taps + 1))
    above = int(random.integers(0, taps - stride + 1)) if kind is MaxPool else 0
    window = Window(
        height=height,
        width=width,
        channels=channels,
        kernel=(taps, columns),
        stride=(stride, columns),
        padding=(above, 0, taps - 1 if kind is MaxPool else 0, 0),
    )
    output = replace(source, name=name, shape=(window.output_height, window.output_width, channels))
    return kind(inputs=(source,), output=output, nodes=(name,), window=window, clamp=Clamp(low=-100, high=100))


def draw_chain(random: np.random.Generator, name: str) -> Chain:
    shape = tuple(int(random.integers(low, high)) for low, high in ((5, 16), (1, 9), (1, 20)))
    value = Value(name=f"{name}_in", shape=shape, scale=0.5, zero_point=int(random.integers(-128, 128)))
    stages: list[Windowed] = []
    for number in range(int(random.integers(2, 5))):
        draw = draw_pool if number and random.random() < 0.3 else draw_layer
        stages.append(draw(random, value, f"{name}_{number}"))
        value = stages[-1].output
    heights = range(1, value.shape[0] + 1)
    divisors = [rows for rows in heights if value.shape[0] % rows == 0]
    return Chain(
        inputs=stages[0].inputs,
        output=value,
        nodes=(name,),
        stages=tuple(stages),
        rows=int(random.choice(divisors)),
    )


def network_of(chains: list[Chain]) -> Network:
    def spec(value: Value) -> TensorSpec:
        return TensorSpec(name=value.name, shape=(1, *value.shape), dtype="int8")

    return Network(
        name="chains",
        inputs=tuple(spec(chain.inputs[0]) for chain in chains),
        outputs=tuple(spec(chain.output) for chain in chains),
        layers=tuple(chains),
    )


def program_of(seed: int) -> tuple[dict[str, list[Chain]], Program]:
    """Draw the same chains for every family, and put them into one program."""
    chains = {}
    for family in FAMILIES:
        random = np.random.default_rng(seed)
        chains[family] = [draw_chain(random, f"{family}_{number}") for number in range(CHAINS)]
    programs = [emit(network_of(found), FAMILIES[family], "ram") for family, found in chains.items()]
    merged = dataclasses.replace(
        programs[0],
        inputs=tuple(spec for program in programs for spec in program.inputs),
        outputs=tuple(spec for program in programs for spec in program.outputs),
        constants={name: values for program in programs for name, values in program.constants.items()},
        calls=tuple(call for program in programs for call in program.calls),
        kernels={name: kernel for program in programs for name, kernel in program.kernels.items()},
        cuts={name: cut for program in programs for name, cut in program.cuts.items()},
    )
    return chains, merged


def wanted(chain: Chain, images: NDArray[np.int8]) -> NDArray[np.int8]:
    results = []
    for image in images:
        numbers: Any = image
        for stage in chain.stages:
            numbers = int8_reference.apply(stage, (numbers,))
        results.append(numbers)
    return np.stack(results)


@pytest.mark.parametrize(("seed", "in_places"), [(1, False), (2, True)], ids=["apart", "in place"])
def test_drawn_chains_give_the_bytes_of_their_layers(
    seed: int, in_places: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if in_places:
        monkeypatch.setattr(in_place, "choose", all_that_can)
    chains, program = program_of(seed)
    lowered = lowering.lower_and_plan(program)
    arena = lowered.arena if in_places else spread(lowered.arena)
    poison = "" if in_places else poison_source(arena)
    built = build(tmp_path / "chains", lowered, arena, poison, sanitize=True)
    random = np.random.default_rng(seed)
    everything = [chain for found in chains.values() for chain in found]
    images = {
        chain.inputs[0].name: random.integers(-128, 128, (SAMPLES, *chain.inputs[0].shape)).astype(np.int8)
        for chain in everything
    }

    shaped = {name: values[:, np.newaxis] for name, values in images.items()}
    outputs = run_host_program(built, program.inputs, program.outputs, shaped)

    assert any(call.in_place for call in program.calls) or not in_places
    for chain in everything:
        expected = wanted(chain, images[chain.inputs[0].name])
        assert np.array_equal(outputs[chain.output.name].reshape(expected.shape), expected), chain


def all_that_can(network: Network) -> dict[str, str]:
    return {
        layer.output.name: layer.inputs[0].name
        for layer in network.layers
        if isinstance(layer, Chain) and layer.plan.fits_in_place(layer.stages[0].window.height)
    }


def test_a_chain_needs_a_window_that_sees_every_row() -> None:
    window = Window(height=8, width=8, channels=16, kernel=(3, 3), padding=(1, 1, 1, 1))

    assert row_chain.can_link(window)
    assert not row_chain.can_link(dataclasses.replace(window, kernel=(1, 1), stride=(2, 2), padding=(0, 0, 0, 0)))
    assert not row_chain.can_link(dataclasses.replace(window, padding=(3, 1, 1, 1)))


def test_a_chains_work_is_that_of_its_layers() -> None:
    chain = draw_chain(np.random.default_rng(3), "chain")

    assert chain.macs == sum(stage.macs for stage in chain.stages)
    assert isinstance(chain, layers.Layer)
