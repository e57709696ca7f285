"""Layers whose shape class chooses the kernel: each twice in a program, by its generic kernel and a target's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from edgecompress.compile import emit_c, emit_network, emit_weights, link, lowering, quantized
from edgecompress.compile.kernels import elementwise, families, matrix_product, pool, softmax
from edgecompress.compile.kernels.elementwise import Lookup
from edgecompress.compile.kernels.matrix_product import MatrixProduct
from edgecompress.compile.kernels.pool import AveragePool, MaxPool, Mean
from edgecompress.compile.kernels.softmax import Softmax
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Call, Program
from edgecompress.core import target as targets
from edgecompress.core.bundle import run_host_program
from edgecompress.core.target import Target
from edgecompress.core.values import Array, TensorSpec


@dataclass(frozen=True, kw_only=True)
class Case:
    """A shape class with its generic kernel, its operands and what else a call needs."""

    shape: object
    name: str
    build: Callable[[], object]
    inputs: tuple[int, ...]
    results: int
    constants: dict[str, Array] = field(default_factory=dict)
    scalars: tuple[int, ...] = ()
    least: int = -128


def lookups(random: np.random.Generator) -> list[Case]:
    found = []
    for elements in (16, 37, 4096, 9000):
        shape = Lookup(elements=elements)
        table = random.integers(-128, 128, 256).astype(np.int8)
        found.append(
            Case(
                shape=shape,
                name=shape.name,
                build=partial(elementwise.build_lookup, shape),
                inputs=(elements,),
                results=elements,
                constants={"table": table},
            )
        )
    return found


def softmaxes(_random: np.random.Generator) -> list[Case]:
    """Logits of all distances and of a few, rows that end inside of a vector, outputs at TFLite's scale and others."""
    found = []
    for rows, classes, scale, output, least in (
        (7, 64, 0.1, None, -128),
        (3, 33, 0.004, None, -128),
        (5, 16, 1.7, (1 / 255, 3), -128),
        (2, 1000, 0.02, (0.01, -100), 120),
    ):
        table = quantized.softmax_exponentials(scale)
        shape = Softmax(rows=rows, classes=classes, table=len(table), rescales=output is not None)
        scalars: tuple[int, ...] = ()
        if output is not None:
            factor = quantized.multiplier(1 / (2.0**softmax.FINE_BITS * output[0]))
            scalars = (factor.value, -factor.shift - 1, output[1])
        found.append(
            Case(
                shape=shape,
                name=shape.name,
                build=partial(softmax.build, shape),
                inputs=(rows * classes,),
                results=rows * classes,
                constants={"exponentials": table},
                scalars=scalars,
                least=least,
            )
        )
    return found


def products(random: np.random.Generator) -> list[Case]:
    """Rows, columns and depths that end inside of a tile, a panel and a register; rows with gaps between them."""
    found = []
    for batches, rows, columns, depth, apart in (
        ((2, 3), 16, 16, 32, 0),
        ((1,), 5, 21, 37, 3),
        ((2,), 13, 3, 5, 0),
        ((1,), 9, 12, 72, 8),
        ((1,), 4, 1, 4, 0),
        ((3,), 21, 7, 16, 1),
    ):
        step = depth + apart
        strides: list[list[int]] = [[], []]
        for each, last in zip(strides, (rows, columns), strict=True):
            size = last * step
            for batch in reversed(batches):
                each.insert(0, size)
                size *= batch
        shape = MatrixProduct(
            batches=batches,
            rows=rows,
            columns=columns,
            depth=depth,
            first_strides=(*strides[0], step),
            second_strides=(*strides[1], step),
        )
        zeros = [int(random.choice([-128, 0, 127, 5])) for _ in range(2)]
        shift = int(random.choice([-9, -7, 1]))
        found.append(
            Case(
                shape=shape,
                name=shape.name,
                build=partial(matrix_product.build, shape),
                inputs=(shape.elements(shape.first_strides, rows), shape.elements(shape.second_strides, columns)),
                results=int(np.prod(batches)) * rows * columns,
                scalars=(*zeros, 1_500_000_000, shift, -20, -110, 120),
            )
        )
    return found


def pools(random: np.random.Generator) -> list[Case]:
    """Windows at and beyond the edge, over whole vectors of channels and parts of one; means of few and many pixels."""
    found = []
    for channels, kernel, stride, dilation, padding in (
        (16, (3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
        (37, (2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
        (80, (7, 4), (1, 3), (1, 2), (0, 2, 3, 1)),
        (150, (2, 9), (2, 1), (2, 1), (1, 4, 1, 3)),
    ):
        window = Window(
            height=9,
            width=11,
            channels=channels,
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            padding=padding,
        )
        size, results = 99 * channels, window.output_height * window.output_width * channels
        low = int(random.integers(-128, 0))
        largest, average = MaxPool(window=window), AveragePool(window=window)
        for shape, build in (
            (largest, partial(pool.build_max, largest)),
            (average, partial(pool.build_average, average)),
        ):
            found.append(
                Case(shape=shape, name=shape.name, build=build, inputs=(size,), results=results, scalars=(low, 100))
            )
    for pixels, channels, shift in ((49, 96, -6), (700, 21, -9), (1, 16, 0), (3, 1030, 1)):
        mean = Mean(pixels=pixels, channels=channels)
        scalars = (int(random.integers(-128, 128)), 1_400_000_000, shift, 4, -128, 120)
        found.append(
            Case(
                shape=mean,
                name=mean.name,
                build=partial(pool.build_mean, mean),
                inputs=(pixels * channels,),
                results=channels,
                scalars=scalars,
            )
        )
    return found


def program(cases: list[Case], features: tuple[str, ...]) -> Program:
    """Each case twice: by its generic kernel to `wanted`, by the target's own to `found`."""
    inputs, outputs, calls, kernels, constants = [], [], [], {}, {}
    for number, case in enumerate(cases):
        specs = [TensorSpec(name=f"x{number}_{n}", shape=(1, size), dtype="int8") for n, size in enumerate(case.inputs)]
        inputs += specs
        named = {f"c{number}_{role}": values for role, values in case.constants.items()}
        constants |= named
        own = families.choose_own(case.shape, features)
        for role, (name, build) in (("wanted", (case.name, case.build)), ("found", own or (case.name, case.build))):
            outputs.append(TensorSpec(name=f"{role}{number}", shape=(1, case.results), dtype="int8"))
            kernels.setdefault(name, build())
            calls.append(
                Call(
                    name=f"{role}{number}",
                    op="case",
                    kernel=name,
                    arguments=(*(spec.name for spec in specs), *named),
                    output=f"{role}{number}",
                    scalars=case.scalars,
                )
            )
    return Program(
        name="shapes",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        tensors={},
        constants=constants,
        calls=tuple(calls),
        kernels=kernels,
    )


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The cases of a profile, their program, where its sources are, and its inputs."""

    target: Target
    cases: list[Case]
    program: Program
    folder: Path
    inputs: dict[str, Array]

    def agrees(self, runner: Path) -> None:
        found = run_host_program(runner, self.program.inputs, self.program.outputs, self.inputs)
        for number, case in enumerate(self.cases):
            different = np.flatnonzero(found[f"found{number}"] != found[f"wanted{number}"])
            assert not len(different), f"{case.name}: {len(different)} bytes differ, the first at {different[0]}"


def drawn_for(profile: str, folder: Path) -> Drawn:
    """Draw the cases for a profile, and write their sources to a folder."""
    random = np.random.default_rng(6)
    target = targets.load(profile)
    cases = [*lookups(random), *softmaxes(random), *products(random), *pools(random)]
    asked = program(cases, (*target.features, target.machine or ""))
    inputs = {
        f"x{number}_{n}": random.integers(case.least, 128, (1, size)).astype(np.int8)
        for number, case in enumerate(cases)
        for n, size in enumerate(case.inputs)
    }
    lowered = lowering.lower_and_plan(asked)
    sources = emit_c.model_sources(asked, lowered.kernels, lowered.arena) | emit_weights.weights_sources(asked)
    sources["network.c"] = emit_network.network_source(asked, "host", bytes(16))
    (folder / "src").mkdir()
    for name, text in sources.items():
        (folder / "src" / name).write_text(text)
    link.copy_runtime(link.find_runtime(link.REFERENCE_PORT), folder)
    return Drawn(target=target, cases=cases, program=asked, folder=folder, inputs=inputs)
