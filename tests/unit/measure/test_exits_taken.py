"""Which exit an inference took, by the ticks of its layers."""

from __future__ import annotations

import pytest

from edgecompress.core.bundle import EARLY_EXIT, LATE_EXIT, Layer
from edgecompress.measure import _exits
from edgecompress.measure._exits import Exit


def layer(index: int, op: str, macs: int, node: str) -> Layer:
    return Layer(
        index=index,
        name=node,
        op=op,
        kernel=op,
        onnx_nodes=(node,),
        macs=macs,
        weight_bytes=0,
        code_bytes=0,
        output_shape=(1, 4),
    )


LAYERS = (
    layer(0, "conv2d", 1000, "a"),
    layer(1, EARLY_EXIT, 0, "first"),
    layer(2, "conv2d", 4000, "b"),
    layer(3, EARLY_EXIT, 0, "second"),
    layer(4, "conv2d", 8000, "c"),
    layer(5, LATE_EXIT, 0, "second"),
    layer(6, LATE_EXIT, 0, "first"),
)
EXITS = (Exit(name="first", early=1, late=6), Exit(name="second", early=3, late=5))


@pytest.mark.parametrize(
    ("ticks", "left_at"),
    [
        ((1500, 20, 10, 10, 10, 10, 10), "first"),
        ((1500, 20, 3000, 20, 10, 10, 20), "second"),
        ((1500, 20, 3000, 20, 5000, 20, 20), "the end"),
        ((2, 0, 0, 0, 0, 0, 0), "first"),
    ],
)
def test_layers_behind_a_taken_exit_take_next_to_nothing(ticks: tuple[int, ...], left_at: str) -> None:
    assert _exits.leaves_at(EXITS, LAYERS, ticks) == left_at
