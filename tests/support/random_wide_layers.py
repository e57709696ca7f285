"""Random int8 layers of many channels, for kernels of vectors, and softmax: kinds for random_layers.draw."""

from __future__ import annotations

import random_layers
from random_layers import Pick, zero_point

from edgecompress.compile.integer import layers
from edgecompress.compile.integer.layers import Value

WIDTHS = (4, 8, 12, 16, 20, 24, 32, 48, 64)
LARGEST_WIDTH = 70
LARGEST_DEPTH, LARGEST_OUTPUTS = 300, 70
LARGEST_ADDITION = 3000
LARGEST_ROWS, LARGEST_CLASSES = 7, 120


def _channels(pick: Pick) -> int:
    """A whole number of vectors, or any number."""
    return WIDTHS[pick(0, len(WIDTHS) - 1)] if pick(0, 2) else pick(1, LARGEST_WIDTH)


def _convolution(pick: Pick, name: str) -> layers.Layer:
    return random_layers.weighted_window(pick, name, _channels(pick), _channels(pick), 1)


def _grouped(pick: Pick, name: str) -> layers.Layer:
    groups = pick(2, 4)
    return random_layers.weighted_window(pick, name, groups * pick(1, 16), groups * pick(1, 16), groups)


def _depthwise(pick: Pick, name: str) -> layers.Layer:
    channels = _channels(pick)
    return random_layers.weighted_window(pick, name, channels, channels, channels)


def _fully_connected(pick: Pick, name: str) -> layers.Layer:
    return random_layers.fully_connected(pick, name, LARGEST_DEPTH, LARGEST_OUTPUTS)


def _addition(pick: Pick, name: str) -> layers.Layer:
    return random_layers.addition(pick, name, (1, 1, pick(1, LARGEST_ADDITION)))


def _softmax(pick: Pick, name: str) -> layers.Layer:
    rows, classes = pick(1, LARGEST_ROWS), pick(2, LARGEST_CLASSES)
    scale = (0.5, 0.12, 0.03, 2.0)[pick(0, 3)]
    value = Value(name=f"{name}_in", shape=(rows, classes), scale=scale, zero_point=zero_point(pick))
    output = Value(name=name, shape=(rows, classes), scale=1 / 256, zero_point=-128)
    return layers.Softmax(inputs=(value,), output=output, nodes=(name,), rows=rows, classes=classes)


KINDS = (_convolution, _convolution, _convolution, _grouped, _depthwise, _depthwise, _fully_connected, _addition)
SOFTMAX = (_softmax,)
