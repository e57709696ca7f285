"""Random int8 layers for kernels of any core: convolutions, additions, products of computed matrices."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import int8_reference
import numpy as np
from numpy.lib.stride_tricks import as_strided

from edgecompress.compile import emit_c, emit_network, emit_weights, link, lowering, quantized
from edgecompress.compile.integer import layers
from edgecompress.compile.kernels import addition, epilogue, families, x86_addition
from edgecompress.compile.kernels import matrix_product as generic_product
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Call, Program
from edgecompress.core import target as targets
from edgecompress.core.bundle import run_host_program
from edgecompress.core.target import Target
from edgecompress.core.values import Array, TensorSpec

ADDITIONS = ((2048, 0.1, 0.1, 0.17), (37, 0.3, 0.02, 0.2), (16, 1.0, 1e-6, 0.5), (481, 0.021, 0.0199, 0.004))
"""Elements, and the scales of the operands and of the sum."""
FACTORS = (0.004, 0.9, 30.0)
"""Largest factors of an accumulator's typical size: results of some steps, of the whole range, and saturated."""

LARGE = {
    "x86-64-amx": (
        (Window(height=8, width=14, channels=64, kernel=(3, 3), padding=(1, 1, 1, 1)), 64),
        (Window(height=9, width=14, channels=64, kernel=(3, 3), padding=(1, 1, 1, 1)), 48),
        (Window(height=9, width=14, channels=32, kernel=(3, 3), padding=(1, 1, 1, 1)), 256),
        (Window(height=27, width=28, channels=80, kernel=(1, 1), stride=(2, 2)), 512),
    )
}
"""Windows and output channels that a profile cuts otherwise than small ones: pairs of rows, parts of the image."""


def draw(random: np.random.Generator) -> Product:
    """A layer of any geometry, of weights of any size, with zero points and limits of any kind."""
    kernel = (1, 1) if random.random() < 0.3 else (int(random.integers(1, 5)), int(random.integers(1, 5)))
    channels = int(random.choice([1, 3, 4, 8, 12, 16, 20, 24, 32, 48, random.integers(1, 70)]))
    dilation = (int(random.choice([1, 1, 2])), int(random.choice([1, 1, 1, 2])))
    reach = [step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True)]
    padded = random.random() < 0.6
    window = Window(
        height=int(random.integers(reach[0], reach[0] + 6)),
        width=int(random.integers(reach[1], reach[1] + 12)),
        channels=channels,
        kernel=kernel,
        stride=(int(random.choice([1, 1, 2, 3])), int(random.choice([1, 1, 2, 3]))),
        dilation=dilation,
        padding=tuple(int(random.integers(0, size + 1)) if padded else 0 for size in (*kernel, *kernel)),
    )
    groups = channels if random.random() < 0.35 else 1
    outputs = channels if groups > 1 else int(random.choice([4, 8, 16, 32, random.integers(1, 41)]))
    return product(random, window, outputs, groups)


def product(random: np.random.Generator, window: Window, outputs: int, groups: int) -> Product:
    least = int(random.choice([-128, -127, -40]))
    weights = random.integers(least, -least, (outputs, *window.kernel, window.channels // groups)).astype(np.int8)
    zero = int(random.choice([-128, 0, random.integers(-128, 128)]))
    low, high = sorted(int(bound) for bound in random.integers(-128, 128, 2)) if random.random() < 0.3 else (-128, 127)
    bias, magnitudes = quantized.folded_bias(random.integers(-3000, 3000, outputs), weights, zero)
    largest = float(random.choice(FACTORS))
    factors = [largest * float(random.uniform(0.05, 1)) / np.sqrt(weights[0].size) for _ in range(outputs)]
    multipliers = tuple(quantized.multiplier(factor) for factor in factors)
    return Product(
        window=window,
        groups=groups,
        weights=weights,
        bias=bias,
        magnitudes=magnitudes,
        multipliers=multipliers,
        epilogue=epilogue.choose(multipliers, magnitudes, low, high),
        input_zero=zero,
        output_zero=int(random.integers(-128, 128)),
        low=low,
        high=high,
    )


def reference(layer: Product, image: Array) -> Array:
    window = layer.window
    seen = int8_reference.patches(window, image.reshape(window.height, window.width, -1), layer.input_zero)
    sums = int8_reference.grouped_sums(seen, layer.weights, layer.groups)
    return int8_reference.requantised(
        sums, layer.bias, layer.multipliers, layer.output_zero, layer.low, layer.high
    ).reshape(1, -1)


def program(products: list[Product], choose: Callable[[Product], Kernel]) -> Program:
    """Each layer has an input and an output of its own."""
    inputs, outputs, calls, constants, kernels = [], [], [], {}, {}
    for number, layer in enumerate(products):
        window, kernel = layer.window, choose(layer)
        results = window.output_height * window.output_width * layer.outputs
        inputs.append(
            TensorSpec(name=f"x{number}", shape=(1, window.height * window.width * window.channels), dtype="int8")
        )
        outputs.append(TensorSpec(name=f"y{number}", shape=(1, results), dtype="int8"))
        named = {f"layer{number}_{role}": values for role, values in kernel.constants.items()}
        constants |= named
        kernels.setdefault(kernel.name, kernel.build())
        calls.append(
            Call(
                name=f"layer{number}",
                op="conv2d",
                kernel=kernel.name,
                arguments=(f"x{number}", *named),
                output=f"y{number}",
                scalars=tuple(kernel.scalars),
            )
        )
    return Program(
        name="layers",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        tensors={},
        constants=constants,
        calls=tuple(calls),
        kernels=kernels,
    )


def additions(random: np.random.Generator) -> list[layers.Addition]:
    """Of operands at one scale and at two, over whole vectors and parts of one."""
    drawn = []
    for number, (elements, larger, smaller, output) in enumerate(ADDITIONS):
        first, second, total = (
            layers.Value(
                name=f"{name}{number}", shape=(1, elements), scale=scale, zero_point=int(random.integers(-128, 128))
            )
            for name, scale in (("a", larger), ("b", smaller), ("s", output))
        )
        clamp = layers.Clamp(low=-128 + number, high=127 - 9 * number)
        drawn.append(layers.Addition(inputs=(first, second), output=total, nodes=(), clamp=clamp))
    return drawn


def with_additions(asked: Program, added: list[layers.Addition], features: Collection[str]) -> Program:
    calls, kernels = list(asked.calls), dict(asked.kernels)
    for layer in added:
        first, second = (value.scale for value in layer.inputs)
        shape = addition.Addition(elements=layer.output.elements, one_scale=first == second)
        name, build = families.choose_addition(shape, features)
        zeros = (layer.inputs[0].zero_point, layer.inputs[1].zero_point, layer.output.zero_point)
        part, total = addition.multipliers(first, second, layer.output.scale)
        scalars = shape.scalar_values(zeros, part, total, layer.clamp.low, layer.clamp.high)
        asked_sum = x86_addition.Sum(zeros=zeros, second=part, total=total)
        own = families.choose_linear_addition(shape, asked_sum, (layer.clamp.low, layer.clamp.high), features)
        if own is not None:
            name, scalars = own.name, own.scalars
        kernels[name] = build(shape) if own is None else own.build()
        calls.append(
            Call(
                name=layer.output.name,
                op="add",
                kernel=name,
                arguments=tuple(value.name for value in layer.inputs),
                output=layer.output.name,
                scalars=tuple(scalars),
            )
        )
    return replace(
        asked,
        inputs=(*asked.inputs, *(_spec(value) for layer in added for value in layer.inputs)),
        outputs=(*asked.outputs, *(_spec(layer.output) for layer in added)),
        calls=tuple(calls),
        kernels=kernels,
    )


MATRICES = (
    MatrixProduct(
        batches=(2, 3), rows=6, columns=8, depth=16, first_strides=(288, 96, 16), second_strides=(384, 128, 16)
    ),
    MatrixProduct(batches=(1,), rows=4, columns=4, depth=24, first_strides=(0, 40), second_strides=(0, 30)),
    MatrixProduct(batches=(3,), rows=1, columns=12, depth=8, first_strides=(8, 24), second_strides=(96, 8)),
)
"""Products of computed matrices; in one of them the rows do not follow each other."""
MATRIX_SCALARS = (-128, 7, 1_500_000_000, -7, -20, -110, 120)
"""The zero points of the factors, multiplier and shift, the output's zero point, the limits."""


def with_matrix_products(asked: Program, features: Collection[str]) -> Program:
    calls, kernels = list(asked.calls), dict(asked.kernels)
    inputs, outputs = list(asked.inputs), list(asked.outputs)
    for number, shape in enumerate(MATRICES):
        own = families.choose_own(shape, features)
        name, build = own or (shape.name, partial(generic_product.build, shape))
        kernels[name] = build()
        for operand, strides, last in (
            ("p", shape.first_strides, shape.rows),
            ("q", shape.second_strides, shape.columns),
        ):
            size = shape.elements(strides, last)
            inputs.append(TensorSpec(name=f"{operand}{number}", shape=(1, size), dtype="int8"))
        results = int(np.prod(shape.batches)) * shape.rows * shape.columns
        outputs.append(TensorSpec(name=f"m{number}", shape=(1, results), dtype="int8"))
        calls.append(
            Call(
                name=f"matrix{number}",
                op="matrix_product",
                kernel=name,
                arguments=(f"p{number}", f"q{number}"),
                output=f"m{number}",
                scalars=MATRIX_SCALARS,
            )
        )
    return replace(asked, inputs=tuple(inputs), outputs=tuple(outputs), calls=tuple(calls), kernels=kernels)


def matrix_product(shape: MatrixProduct, first: Array, second: Array) -> Array:
    first_zero, second_zero, value, shift, output_zero, low, high = MATRIX_SCALARS
    operands = [
        as_strided(flat.reshape(-1), (*shape.batches, last, shape.depth), (*strides, 1)).astype(np.int64) - zero
        for flat, last, strides, zero in (
            (first, shape.rows, shape.first_strides, first_zero),
            (second, shape.columns, shape.second_strides, second_zero),
        )
    ]
    sums = operands[0] @ np.swapaxes(operands[1], -1, -2)
    scaled = quantized.scale(sums, quantized.Multiplier(value=value, shift=shift)) + output_zero
    return np.clip(scaled, low, high).astype(np.int8).reshape(1, -1)


def _spec(value: layers.Value) -> TensorSpec:
    return TensorSpec(name=value.name, shape=value.shape, dtype="int8")


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The layers of a profile, their program, where its sources are, and what they are to compute."""

    target: Target
    program: Program
    folder: Path
    inputs: dict[str, Array]
    wanted: dict[str, Array]

    def agrees(self, runner: Path) -> None:
        found = run_host_program(runner, self.program.inputs, self.program.outputs, self.inputs)
        for call in self.program.calls:
            different = np.flatnonzero(found[call.output] != self.wanted[call.output])
            assert not len(different), f"{call.kernel}: {len(different)} bytes differ, the first at {different[0]}"


def drawn_for(profile: str, count: int, folder: Path) -> Drawn:
    """Draw so many layers for a profile, and write their sources to a folder."""
    random = np.random.default_rng(sum(map(ord, profile)))
    target = targets.load(profile)
    features = (*target.features, target.machine or "")
    products = [draw(random) for _ in range(count)]
    added = additions(random)
    products += [product(random, window, outputs, groups=1) for window, outputs in LARGE.get(profile, ())]
    asked = with_additions(program(products, lambda layer: families.choose(layer, features)), added, features)
    asked = with_matrix_products(asked, features)
    inputs = {spec.name: random.integers(-128, 128, spec.shape).astype(np.int8) for spec in asked.inputs}
    wanted = {f"y{number}": reference(layer, inputs[f"x{number}"]) for number, layer in enumerate(products)}
    wanted |= {each.output.name: int8_reference.apply(each, [inputs[x.name] for x in each.inputs]) for each in added}
    wanted |= {f"m{n}": matrix_product(each, inputs[f"p{n}"], inputs[f"q{n}"]) for n, each in enumerate(MATRICES)}
    _write(asked, folder)
    return Drawn(target=target, program=asked, folder=folder, inputs=inputs, wanted=wanted)


def _write(asked: Program, folder: Path) -> None:
    lowered = lowering.lower_and_plan(asked)
    sources = emit_c.model_sources(asked, lowered.kernels, lowered.arena) | emit_weights.weights_sources(asked)
    sources["network.c"] = emit_network.network_source(asked, "host", bytes(16))
    (folder / "src").mkdir()
    for name, text in sources.items():
        (folder / "src" / name).write_text(text)
    link.copy_runtime(link.find_runtime(link.REFERENCE_PORT), folder)
