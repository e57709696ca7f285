"""From how many zeros on a sparse kernel wins: instructions and flash of layers on an emulated Cortex-M4, by sparsity.

    python benchmarks/sparse_break_even.py            a table of shapes and sparsities (half a minute)
    python benchmarks/sparse_break_even.py --check    exit 1 where the compiler's choice in mode speed is a wrong one
    python benchmarks/sparse_break_even.py --json     all figures on stdout
    python benchmarks/sparse_break_even.py --target mps2-an385    another core

Each layer runs with the target's ordinary kernel and with the sparse one; both give the same bytes, which the board
proves. Flash is that of the layers' constants: weights, and the table that brings sums to int8. Instructions are no
time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tvm import tirx

from edgecompress import pipeline
from edgecompress.compile import assemble, quantized
from edgecompress.compile.kernels import epilogue, families, product_choice, sparse_product
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.product_choice import Allowed
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Call, CKernel, Program
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.target import Target
from edgecompress.core.values import Array, Evidence, Model, TensorSpec
from edgecompress.measure import layers

SHAPES: Mapping[str, tuple[Window, int]] = {
    "fully connected 640 -> 128": (Window(height=1, width=1, channels=640, kernel=(1, 1)), 128),
    "fully connected 64 -> 10": (Window(height=1, width=1, channels=64, kernel=(1, 1)), 10),
    "1x1 64 -> 64 on 25x5": (Window(height=25, width=5, channels=64, kernel=(1, 1)), 64),
    "1x1 128 -> 128 on 6x6": (Window(height=6, width=6, channels=128, kernel=(1, 1)), 128),
    "3x3 16 -> 16 on 16x16": (Window(height=16, width=16, channels=16, kernel=(3, 3), padding=(1, 1, 1, 1)), 16),
    "3x3 64 -> 64 on 8x8": (Window(height=8, width=8, channels=64, kernel=(3, 3), padding=(1, 1, 1, 1)), 64),
}
SPARSITIES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ROOM = 1 << 20
SLACK = 0.05
"""A choice that costs less than this share of a layer's instructions is no wrong one."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A layer at one sparsity."""

    shape: str
    sparsity: float
    dense_instructions: float
    sparse_instructions: float
    dense_bytes: int
    sparse_bytes: int
    chooses_sparse: bool

    @property
    def wrong(self) -> bool:
        """True when the compiler takes the slower kernel."""
        taken, other = self.sparse_instructions, self.dense_instructions
        if not self.chooses_sparse:
            taken, other = other, taken
        return taken > other * (1 + SLACK)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="mps2-an386")
    parser.add_argument("--json", action="store_true", help="all figures on stdout")
    parser.add_argument("--check", action="store_true", help="exit 1 where the compiler chooses wrongly")
    chosen = parser.parse_args()
    rows = measure(targets.load(chosen.target))
    if chosen.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print(rows, chosen.target)
    if chosen.check:
        wrong = [row for row in rows if row.wrong]
        for row in wrong:
            print(f"wrong choice: {row.shape} at {row.sparsity:.0%} zeros", file=sys.stderr)
        sys.exit(1 if wrong else 0)


def measure(target: Target) -> list[Row]:
    """Run every layer with both kernels on the emulator."""
    drawn = {(shape, sparsity): _product(shape, sparsity) for shape in SHAPES for sparsity in SPARSITIES}
    kernels = {key: (families.choose(each, target.features), _sparse(each)) for key, each in drawn.items()}
    program = _program(drawn, kernels)
    with tempfile.TemporaryDirectory() as scratch:
        bundle = assemble.write_bundle(
            program, assemble.Origin(model_sha256="0" * 64), target, Path(scratch) / "bundle"
        )
        instructions = _instructions(bundle, target)
    return [
        Row(
            shape=shape,
            sparsity=sparsity,
            dense_instructions=instructions[f"dense_{number}"],
            sparse_instructions=instructions[f"sparse_{number}"],
            dense_bytes=_bytes(dense),
            sparse_bytes=_bytes(sparse),
            chooses_sparse=_chooses_sparse(drawn[shape, sparsity], target),
        )
        for number, ((shape, sparsity), (dense, sparse)) in enumerate(kernels.items())
    ]


def _instructions(bundle: Bundle, target: Target) -> dict[str, float]:
    """Prove the bytes of both kernels equal, and count."""
    _, outputs = bundle.vectors()
    for name, values in outputs.items():
        other = outputs[name.replace("sparse", "dense")]
        if not np.array_equal(values, other):
            raise AssertionError(f"the kernels of layer {name} give different bytes")
    with pipeline.connect(target, pipeline.DeviceChoice()) as device:
        device.install(bundle)
        unknown = Model(name="layers", graph=None, inputs=(), outputs=())  # type: ignore[arg-type]
        found = layers.read(device, bundle, Evidence(model=unknown, baseline=unknown, repeat=1)).layers
    return {each.name: each.instructions for each in found if each.instructions is not None}


def _product(shape: str, sparsity: float) -> Product:
    window, outputs = SHAPES[shape]
    random = np.random.default_rng(0)
    size = (outputs, *window.kernel, window.channels)
    weights = np.where(random.random(size) < sparsity, 0, random.integers(1, 128, size)) * random.choice((-1, 1), size)
    weights = weights.astype(np.int8)
    bias, magnitudes = quantized.folded_bias(random.integers(-900, 900, outputs), weights, 3)
    factors = random.uniform(0.5, 1, outputs) / (60 * np.sqrt(weights[0].size))
    multipliers = tuple(quantized.multiplier(float(factor)) for factor in factors)
    return Product(
        window=window,
        weights=weights,
        bias=bias,
        magnitudes=magnitudes,
        multipliers=multipliers,
        epilogue=epilogue.choose(multipliers, magnitudes, -128, 127),
        input_zero=3,
        output_zero=-4,
        low=-128,
        high=127,
    )


def _chooses_sparse(product: Product, target: Target) -> bool:
    """Ask for the choice of mode speed."""
    allowed = Allowed(saves="instructions", room=ROOM, least_pixels=None)
    found = product_choice.choose(
        product, lambda each: families.choose(each, target.features), target.features, allowed
    )
    return found.kernel.name.startswith("sparse")


def _sparse(product: Product) -> Kernel:
    kernel = sparse_product.choose(product, sparse_product.sizes(product)[-1])
    if kernel is None:
        raise AssertionError(f"there is no sparse kernel for {product.window}")
    return kernel


def _program(
    drawn: Mapping[tuple[str, float], Product], kernels: Mapping[tuple[str, float], tuple[Kernel, Kernel]]
) -> Program:
    """One network of all layers, side by side; layers of one shape read one input."""
    inputs = {
        shape: TensorSpec(name=f"input_{i}", shape=(1, window.height, window.width, window.channels), dtype="int8")
        for i, (shape, (window, _)) in enumerate(SHAPES.items())
    }
    calls: list[Call] = []
    outputs: list[TensorSpec] = []
    constants: dict[str, Array] = {}
    built: dict[str, tirx.PrimFunc | CKernel] = {}
    for number, (key, pair) in enumerate(kernels.items()):
        window = drawn[key].window
        for kind, kernel in zip(("dense", "sparse"), pair, strict=True):
            name = f"{kind}_{number}"
            named = {f"{name}_{role}": values for role, values in kernel.constants.items()}
            elements = window.output_height * window.output_width * drawn[key].outputs
            constants |= named
            built.setdefault(kernel.name, kernel.build())
            outputs.append(TensorSpec(name=name, shape=(1, elements), dtype="int8"))
            calls.append(
                Call(
                    name=name,
                    op="layer",
                    kernel=kernel.name,
                    arguments=(inputs[key[0]].name, *named),
                    output=name,
                    scalars=tuple(kernel.scalars),
                )
            )
    return Program(
        name="layers",
        inputs=tuple(inputs.values()),
        outputs=tuple(outputs),
        tensors={},
        constants=constants,
        calls=tuple(calls),
        kernels=built,
    )


def _bytes(kernel: Kernel) -> int:
    return sum(values.nbytes for values in kernel.constants.values())


def _print(rows: list[Row], target: str) -> None:
    table = Table(title=f"dense and sparse kernels on {target}")
    for title in (
        "layer",
        "zeros",
        "instructions: dense",
        "sparse",
        "ratio",
        "bytes: dense",
        "sparse",
        "ratio",
        "chosen",
    ):
        table.add_column(title, justify="left" if title == "layer" else "right")
    for row in rows:
        table.add_row(
            row.shape,
            f"{row.sparsity:.0%}",
            f"{row.dense_instructions:,.0f}",
            f"{row.sparse_instructions:,.0f}",
            f"{row.sparse_instructions / row.dense_instructions:.2f}",
            f"{row.dense_bytes:,}",
            f"{row.sparse_bytes:,}",
            f"{row.sparse_bytes / row.dense_bytes:.2f}",
            "sparse" if row.chooses_sparse else "dense",
        )
    Console(width=None if sys.stdout.isatty() else 130).print(table)


if __name__ == "__main__":
    main()
