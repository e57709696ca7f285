"""Layers of weighted sums with random numbers, and a program that computes each with two families of kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgecompress.compile import quantized
from edgecompress.compile.kernels import epilogue
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Call, Program
from edgecompress.core.values import TensorSpec

CONVOLUTIONS = (
    (Window(height=1, width=1, channels=13, kernel=(1, 1)), 7),
    (Window(height=1, width=1, channels=640, kernel=(1, 1)), 9),
    (Window(height=1, width=3, channels=16, kernel=(1, 1)), 4),
    (Window(height=5, width=5, channels=8, kernel=(1, 1)), 6),
    (Window(height=5, width=4, channels=3, kernel=(3, 3), padding=(1, 1, 1, 1)), 5),
    (Window(height=7, width=7, channels=4, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)), 8),
    (Window(height=9, width=8, channels=1, kernel=(10, 4), stride=(2, 2), padding=(4, 1, 5, 1)), 10),
    (Window(height=8, width=9, channels=4, kernel=(3, 2), dilation=(2, 3), padding=(1, 2, 0, 1)), 3),
    (Window(height=8, width=9, channels=5, kernel=(3, 2), dilation=(1, 2)), 1),
    (Window(height=6, width=3, channels=12, kernel=(2, 3)), 11),
    (Window(height=12, width=1, channels=20, kernel=(4, 1), padding=(3, 0, 0, 0)), 2),
    (Window(height=4, width=6, channels=2, kernel=(1, 1), stride=(3, 2)), 4),
    (Window(height=4, width=5, channels=3, kernel=(1, 1), padding=(1, 2, 0, 1)), 4),
    (Window(height=6, width=6, channels=1, kernel=(1, 3), padding=(0, 1, 0, 1)), 2),
)
"""Windows and numbers of output channels: one pixel and many, runs of any length, edges, strides, dilations."""

FACTORS = {"small": 0.004, "any": 0.9, "large": 30.0}
BOUNDS = ((-128, 127), (-100, 90))
ENDINGS = tuple((largest, bounds) for bounds in BOUNDS for largest in FACTORS.values())


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A layer, and the kernels of two families that must give the same bytes."""

    product: Product
    generic: Choose
    fast: Choose

    @property
    def elements(self) -> int:
        """Elements of the output."""
        window = self.product.window
        return window.output_height * window.output_width * self.product.outputs


def product(
    random: np.random.Generator,
    window: Window,
    outputs: int,
    largest: float,
    bounds: tuple[int, int],
    largest_bias: int = 3000,
) -> Product:
    """A layer with random numbers; as a depthwise one when it has no channels of its own to sum over."""
    groups = 1 if outputs else window.channels
    shape = (outputs or groups, *window.kernel, window.channels // groups)
    weights = random.integers(-127, 128, shape).astype(np.int8)
    input_zero = int(random.integers(-128, 128))
    bias, magnitudes = quantized.folded_bias(
        random.integers(-largest_bias, largest_bias, shape[0]), weights, input_zero
    )
    each = random.uniform(0.05, 1, shape[0] if random.random() < 0.7 else 1)
    factors = np.broadcast_to(each, shape[0]) * largest / np.sqrt(weights[0].size)
    multipliers = tuple(quantized.multiplier(factor) for factor in factors)
    return Product(
        window=window,
        groups=groups,
        weights=weights,
        bias=bias,
        magnitudes=magnitudes,
        multipliers=multipliers,
        epilogue=epilogue.choose(multipliers, magnitudes, *bounds),
        input_zero=input_zero,
        output_zero=int(random.integers(-128, 128)),
        low=bounds[0],
        high=bounds[1],
    )


def program(layers: Sequence[Compared]) -> Program:
    """Calls of both kernels of every layer, from one input x0 … to two outputs generic0 … and fast0 …"""
    inputs, outputs, calls = [], [], []
    constants, kernels = {}, {}
    for number, layer in enumerate(layers):
        window = layer.product.window
        inputs.append(
            TensorSpec(name=f"x{number}", shape=(1, window.height * window.width * window.channels), dtype="int8")
        )
        for kind, choose in (("generic", layer.generic), ("fast", layer.fast)):
            kernel = choose(layer.product)
            assert kernel is not None, f"no {kind} kernel takes {window}"
            output = TensorSpec(name=f"{kind}{number}", shape=(1, layer.elements), dtype="int8")
            outputs.append(output)
            calls.append(_call_of(kernel, inputs[-1].name, output.name))
            constants |= {f"{output.name}_{role}": value for role, value in kernel.constants.items()}
            kernels.setdefault(kernel.name, kernel.build())
    return Program(
        name="layers",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        tensors={},
        constants=constants,
        calls=tuple(calls),
        kernels=kernels,
    )


def _call_of(kernel: Kernel, source: str, output: str) -> Call:
    constants = (f"{output}_{role}" for role in kernel.constants)
    scalars = tuple(kernel.scalars)
    return Call(
        name=output, op="conv2d", kernel=kernel.name, arguments=(source, *constants), output=output, scalars=scalars
    )
