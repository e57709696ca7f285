"""The Helium kernels give the bytes of the generic ones: their plain C on this machine, their vectors on mps3-an547.

A program holds many layers that read the same numbers. Its reference on this machine, which computes the bundle's test
vectors, is the plain C; the device has to reproduce it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import linking
import numpy as np

from edgecompress.compile import assemble, emit_c, emit_network, emit_weights, link, lowering, quantized
from edgecompress.compile.kernels import addition, epilogue, families
from edgecompress.compile.kernels.addition import Addition
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Call, Program
from edgecompress.core import plugins
from edgecompress.core import target as targets
from edgecompress.core.bundle import run_host_program
from edgecompress.core.values import Array, TensorSpec

INPUT_BYTES = 4096
BOARD = "mps3-an547"
MVE = ("mve",)

PAD = (1, 1, 1, 1)
CONVOLUTIONS = (
    (Window(height=6, width=7, channels=3, kernel=(3, 3), padding=PAD), 5),
    (Window(height=7, width=6, channels=16, kernel=(3, 3), padding=PAD), 16),
    (Window(height=9, width=8, channels=5, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)), 7),
    (Window(height=12, width=9, channels=1, kernel=(10, 4), stride=(2, 2), padding=(4, 1, 5, 1)), 8),
    (Window(height=8, width=5, channels=33, kernel=(2, 1), dilation=(3, 1)), 2),
    (Window(height=5, width=5, channels=19, kernel=(1, 1)), 3),
    (Window(height=4, width=4, channels=64, kernel=(1, 1)), 9),
    (Window(height=5, width=7, channels=16, kernel=(1, 1), stride=(2, 3)), 6),
    (Window(height=21, width=1, channels=20, kernel=(5, 1), padding=(2, 0, 2, 0)), 11),
    (Window(height=1, width=1, channels=130, kernel=(1, 1)), 13),
    (Window(height=1, width=1, channels=7, kernel=(1, 1)), 4),
    (Window(height=3, width=3, channels=4, kernel=(3, 3)), 5),
    (Window(height=2, width=1, channels=9, kernel=(1, 1)), 2),
    (Window(height=4, width=3, channels=5, kernel=(1, 3)), 10),
)
DEPTHWISE = (
    Window(height=6, width=5, channels=16, kernel=(3, 3), padding=PAD),
    Window(height=6, width=5, channels=37, kernel=(3, 3), padding=PAD),
    Window(height=7, width=6, channels=8, kernel=(3, 3), padding=PAD),
    Window(height=7, width=9, channels=5, kernel=(3, 3), padding=PAD),
    Window(height=7, width=7, channels=3, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)),
    Window(height=9, width=8, channels=20, kernel=(2, 3), stride=(2, 2), dilation=(3, 2)),
    Window(height=16, width=1, channels=24, kernel=(5, 1)),
    Window(height=8, width=8, channels=1, kernel=(1, 5), padding=(0, 2, 0, 2)),
    Window(height=4, width=4, channels=32, kernel=(4, 4)),
)


def product(random: np.random.Generator, window: Window, outputs: int, groups: int, largest: float) -> Product:
    """A layer with random numbers; `largest` bounds the factors of an accumulator's typical size."""
    weights = random.integers(-127, 128, (outputs, *window.kernel, window.channels // groups)).astype(np.int8)
    zero = int(random.integers(-128, 128))
    low, high = sorted(int(bound) for bound in random.integers(-128, 128, 2)) if random.random() < 0.3 else (-128, 127)
    bias, magnitudes = quantized.folded_bias(random.integers(-3000, 3000, outputs), weights, zero)
    factors = [largest * float(random.uniform(0.2, 1)) / np.sqrt(weights[0].size) for _ in range(outputs)]
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


def products(seed: int) -> list[Product]:
    """All the shapes, with factors for the usual range of results; some that round much, some that saturate."""
    random = np.random.default_rng(seed)
    shapes = [(window, outputs, 1) for window, outputs in CONVOLUTIONS]
    shapes += [(window, window.channels, window.channels) for window in DEPTHWISE]
    return [product(random, *shape, largest=float(random.choice([0.01, 0.001, 3.0]))) for shape in shapes]


def random_products(seed: int, count: int) -> list[Product]:
    random = np.random.default_rng(seed)
    drawn: list[Product] = []
    while len(drawn) < count:
        channels = int(random.integers(1, 41))
        kernel = (int(random.integers(1, 5)), int(random.integers(1, 5)))
        height, width = (int(random.integers(size, size + 7)) for size in kernel)
        window = Window(
            height=height,
            width=width,
            channels=channels,
            kernel=kernel,
            stride=(int(random.integers(1, 4)), int(random.integers(1, 4))),
            padding=tuple(int(each) for each in random.integers(0, kernel * 2)),
        )
        depthwise = random.random() < 0.4
        outputs = channels if depthwise else int(random.integers(2, 21))
        if height * width * channels <= INPUT_BYTES:
            drawn.append(product(random, window, outputs, channels if depthwise else 1, largest=0.01))
    return drawn


def program(layers: Sequence[Product], features: Collection[str]) -> Program:
    """All the layers read the input's first bytes, each has an output of its own."""
    kernels, constants, calls, outputs = {}, {}, [], []
    for i, layer in enumerate(layers):
        kernel = families.choose(layer, features)
        named = {f"layer{i}_{role}": values for role, values in kernel.constants.items()}
        constants |= named
        kernels.setdefault(kernel.name, kernel.build())
        size = layer.window.output_height * layer.window.output_width * layer.outputs
        outputs.append(TensorSpec(name=f"y{i}", shape=(1, size), dtype="int8", scale=1.0, zero_point=0))
        calls.append(
            Call(
                name=f"layer{i}",
                op="conv2d",
                kernel=kernel.name,
                arguments=("x", *named),
                output=f"y{i}",
                scalars=tuple(kernel.scalars),
            )
        )
    source = TensorSpec(name="x", shape=(1, INPUT_BYTES), dtype="int8", scale=1.0, zero_point=0)
    return Program(
        name="layers",
        inputs=(source,),
        outputs=tuple(outputs),
        tensors={},
        constants=constants,
        calls=tuple(calls),
        kernels=kernels,
    )


def additions(features: Collection[str]) -> Program:
    """Additions of the input to itself, shifted by no more than its scale."""
    kernels, calls, outputs = {}, [], []
    cases = ((2048, 0.1, 0.1, 0.17), (37, 0.3, 0.02, 0.2), (3, 1.0, 1e-6, 0.5), (4096, 0.021, 0.0199, 0.03))
    for i, (elements, larger, smaller, output) in enumerate(cases):
        shape = Addition(elements=elements, one_scale=larger == smaller)
        part, total = addition.multipliers(larger, smaller, output)
        name, build = families.choose_addition(shape, features)
        kernels[name] = build(shape)
        scalars = shape.scalar_values((5, -9 - i, 13), part, total, -120, 127 - i)
        outputs.append(TensorSpec(name=f"y{i}", shape=(1, elements), dtype="int8", scale=1.0, zero_point=0))
        calls.append(
            Call(
                name=f"layer{i}",
                op="add",
                kernel=name,
                arguments=("x", "other"),
                output=f"y{i}",
                scalars=tuple(scalars),
            )
        )
    source = TensorSpec(name="x", shape=(1, INPUT_BYTES), dtype="int8", scale=1.0, zero_point=0)
    return Program(
        name="additions",
        inputs=(source,),
        outputs=tuple(outputs),
        tensors={},
        constants={"other": np.random.default_rng(3).integers(-128, 128, INPUT_BYTES).astype(np.int8)},
        calls=tuple(calls),
        kernels=kernels,
    )


def outputs_on_this_machine(asked: Program, inputs: dict[str, Array], folder: Path) -> dict[str, Array]:
    """Build a program's C for this machine alone, and run it."""
    lowered = lowering.lower_and_plan(asked)
    sources = emit_c.model_sources(asked, lowered.kernels, lowered.arena) | emit_weights.weights_sources(asked)
    sources["network.c"] = emit_network.network_source(asked, "host", bytes(16))
    (folder / "src").mkdir(parents=True)
    for name, text in sources.items():
        (folder / "src" / name).write_text(text)
    link.copy_runtime(link.find_runtime(link.REFERENCE_PORT), folder)
    linking.reference(folder, link.NETWORK, Path("reference"))
    return run_host_program(folder / "reference", asked.inputs, asked.outputs, inputs)


def assert_equal_everywhere(mve: Program, generic: Program, folder: Path) -> None:
    """The plain C of the first program gives what the second one does, and the board what the plain C does."""
    target = targets.load(BOARD)
    bundle = assemble.write_bundle(mve, assemble.Origin(model_sha256="0" * 64), target, folder / "bundle")
    inputs, found = bundle.vectors()
    wanted = outputs_on_this_machine(generic, inputs, folder / "generic")
    for call in mve.calls:
        assert np.array_equal(found[call.output], wanted[call.output]), call.kernel
    with plugins.find("deploy", target.link, where=BOARD).connect(target) as device:
        device.install(bundle)


def test_every_shape_class_gives_the_generic_kernels_bytes(tmp_path: Path) -> None:
    layers = products(seed=1)
    mve = program(layers, MVE)

    assert {call.kernel.split("_")[0] for call in mve.calls} == {"mve"}
    assert_equal_everywhere(mve, program(layers, ()), tmp_path)


def test_random_shapes_give_the_generic_kernels_bytes(tmp_path: Path) -> None:
    layers = random_products(seed=7, count=16)
    mve = program(layers, MVE)

    assert sum(call.kernel.startswith("mve") for call in mve.calls) > 13
    assert_equal_everywhere(mve, program(layers, ()), tmp_path)


def test_additions_give_the_generic_kernels_bytes(tmp_path: Path) -> None:
    assert_equal_everywhere(additions(MVE), additions(()), tmp_path)
