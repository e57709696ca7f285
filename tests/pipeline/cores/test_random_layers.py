"""Random layers on every Cortex-M, byte for byte what plain numpy makes of them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import random_images
import random_layers
from cortex_m import CORES

from edgecompress.compile import assemble
from edgecompress.compile.integer import layers
from edgecompress.compile.integer.emit import emit
from edgecompress.core import target as targets
from edgecompress.core.errors import TransferError
from edgecompress.core.target import Target
from edgecompress.deploy import qemu

SUMMING, LAYERS_OF_A_BATCH = 4, 50
"""Batches of layers that sum: convolutions, matrix products, pools, additions. One more is of other kinds."""
BATCHES = SUMMING + 1
LAYERS_AT_ONCE = {"microbit": 10}
"""Where the RAM does not hold a whole batch; inputs and outputs all stay until the end."""


@functools.cache
def batch(number: int) -> tuple[random_layers.Drawn, ...]:
    """The same layers on every core."""
    random = np.random.default_rng(number)

    def pick(low: int, high: int) -> int:
        return int(random.integers(low, high, endpoint=True))

    kinds = random_layers.KINDS if number < SUMMING else random_images.KINDS
    return tuple(random_layers.draw(pick, f"layer_{number}_{i}", kinds) for i in range(LAYERS_OF_A_BATCH))


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("number", range(BATCHES))
def test_random_layers_equal_their_definition(number: int, core: str, tmp_path: Path) -> None:
    drawn, at_once = batch(number), LAYERS_AT_ONCE.get(core, LAYERS_OF_A_BATCH)
    for first in range(0, LAYERS_OF_A_BATCH, at_once):
        assert_equal(drawn[first : first + at_once], targets.load(core), tmp_path / str(first))


def assert_equal(drawn: Sequence[random_layers.Drawn], target: Target, folder: Path) -> None:
    """Build the layers as one network, and hold host and device against their definition."""
    program = emit(random_layers.network(drawn), target.features)
    origin = assemble.Origin(model_sha256="0" * 64)

    bundle = assemble.write_bundle(program, origin, target, folder, samples=random_layers.samples(drawn))

    _, computed = bundle.vectors()
    assert random_layers.differences(drawn, computed) == []
    with qemu.connect(target) as device:
        try:
            device.install(bundle)
        except TransferError as error:
            pytest.fail(f"{error.message}: {[each for each in drawn if repr(each.name) in error.message]}")


def test_the_random_layers_are_of_every_kind() -> None:
    drawn = [each.layer for number in range(SUMMING) for each in batch(number)]
    kinds = [type(layer) for layer in drawn]
    products = [layer for layer in drawn if isinstance(layer, layers.Product)]
    convolutions = [layer for layer in drawn if isinstance(layer, layers.Convolution)]
    windows = [layer.window for layer in drawn if hasattr(layer, "window")]
    counts = {
        **{kind.__name__: kinds.count(kind) for kind in set(kinds)},
        "depthwise": sum(layer.is_depthwise for layer in convolutions),
        "groups": sum(1 < layer.groups < layer.window.channels for layer in convolutions),
        "depth multipliers": sum(layer.groups == layer.window.channels < len(layer.weights) for layer in convolutions),
        "odd channel counts": sum(layer.window.channels % 2 for layer in convolutions if layer.window.channels > 2),
        "strides": sum(max(window.stride) > 1 for window in windows),
        "dilations": sum(max(window.dilation) > 1 for window in windows),
        "asymmetric pads": sum(window.padding[:2] != window.padding[2:] for window in windows),
        "1xN": sum(window.kernel[0] == 1 < window.kernel[1] for window in windows),
        "Nx1": sum(window.kernel[1] == 1 < window.kernel[0] for window in windows),
        "left shifts": sum(max(by.shift for by in random_layers.multipliers(layer)) > 0 for layer in products),
        "clamps": sum(layer.clamp != layers.NO_CLAMP for layer in drawn),
        "extreme zero points": sum(abs(layer.output.zero_point) > 126 for layer in drawn),
    }
    telling = sum(len(np.unique(each.wanted)) > 8 for number in range(SUMMING) for each in batch(number))
    others = Counter(type(each.layer).__name__ for each in batch(SUMMING))
    assert len(drawn) == 200
    assert {name: count for name, count in counts.items() if count < 10} == {}
    assert telling > 120
    assert {name for name, count in others.items() if count >= 5} == {
        "Concatenate",
        "Mean",
        "Multiplication",
        "Padding",
        "Resize",
    }
