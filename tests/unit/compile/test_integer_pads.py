"""Zeros around an image: a layer, or part of a convolution."""

from __future__ import annotations

import numpy as np
import pytest
from qdq_drawing import Drawing, kinds, match, only

from edgecompress.compile.integer import layers, passes


def padded_convolution(widths: list[int], number: float = 0.0) -> layers.Network:
    draw = Drawing((1, 2, 5, 5))
    x = draw.quantized("x", zero=3)
    inputs = [x, draw.constant("widths", np.array(widths)), draw.constant("number", np.array(number, np.float32))]
    p = draw.quantized(draw.node("Pad", inputs, "p"), zero=3)
    w = draw.weights("w", np.ones((3, 2, 3, 3), np.int8), np.full(3, 0.1), axis=0)
    draw.node("Conv", [p, w], "c", strides=[2, 2], pads=[1, 0, 0, 0])
    rows, columns = ((5 + widths[axis] + widths[axis + 4] + (axis == 2) - 3) // 2 + 1 for axis in (2, 3))
    network = match(draw.model(draw.quantized("c"), (1, 3, rows, columns)))
    return passes.drop_unused(passes.fold_pads(network))


def test_zeros_around_an_image_become_the_convolutions() -> None:
    network = padded_convolution([0, 0, 1, 0, 0, 0, 2, 1])

    convolution = only(network, layers.Convolution)
    assert kinds(network) == ["Quantize", "Convolution", "Transpose", "Dequantize"]
    assert (convolution.window.height, convolution.window.padding) == (5, (2, 0, 2, 1))
    assert convolution.inputs[0].name == "x_q"
    assert convolution.nodes == ("Pad_p", "Conv_c")


@pytest.mark.parametrize(
    ("widths", "number"),
    [([0, 0, 2, 0, 0, 0, 0, 0], 0.0), ([0, 0, 1, 0, 0, 0, 2, 1], 0.5)],
    ids=["more than a window sees", "not zeros"],
)
def test_other_borders_stay_layers(widths: list[int], number: float) -> None:
    assert kinds(padded_convolution(widths, number))[:3] == ["Quantize", "Padding", "Convolution"]
