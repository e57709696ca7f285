"""Convolutions in place as C, with sanitizers, against the same layer with an output of its own."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompress.compile import c_math, c_text, lower, quantized
from edgecompress.compile.kernels import epilogue, families, in_place
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.window import Window

FLAGS = (
    *("-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"),
    *("-Wno-unused-function", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)
SAME = (1, 1, 1, 1)
CASES = {
    "depthwise": (Window(height=25, width=5, channels=16, kernel=(3, 3), padding=SAME), 16, 16),
    "depthwise of even height": (Window(height=24, width=3, channels=16, kernel=(3, 3), padding=SAME), 16, 16),
    "depthwise, nothing above": (Window(height=12, width=4, channels=4, kernel=(3, 3), padding=(0, 1, 2, 1)), 4, 4),
    "depthwise without padding": (Window(height=14, width=6, channels=4, kernel=(3, 3)), 4, 4),
    "depthwise that strides": (
        Window(height=16, width=8, channels=16, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)),
        16,
        16,
    ),
    "dilated": (Window(height=16, width=4, channels=4, kernel=(3, 1), dilation=(2, 1), padding=(2, 0, 2, 0)), 4, 1),
    "pointwise": (Window(height=9, width=4, channels=12, kernel=(1, 1)), 8, 1),
    "convolution": (Window(height=10, width=4, channels=8, kernel=(3, 3), padding=SAME), 8, 1),
    "a column": (Window(height=18, width=1, channels=16, kernel=(4, 1), padding=(1, 0, 2, 0)), 16, 1),
}


def product_of(window: Window, outputs: int, groups: int) -> Product:
    random = np.random.default_rng(5)
    weights = random.integers(-128, 128, (outputs, *window.kernel, window.channels // groups)).astype(np.int8)
    bias, magnitudes = quantized.folded_bias(random.integers(-900, 900, outputs), weights, -7)
    multipliers = tuple(quantized.multiplier(factor) for factor in random.uniform(0.0005, 0.005, outputs))
    return Product(
        window=window,
        groups=groups,
        weights=weights,
        bias=bias,
        magnitudes=magnitudes,
        multipliers=multipliers,
        epilogue=epilogue.choose(multipliers, magnitudes, -128, 127),
        input_zero=-7,
        output_zero=3,
        low=-128,
        high=127,
    )


def array(name: str, values: np.ndarray[Any, Any]) -> str:
    numbers = ", ".join(c_text.integer_literal(int(value)) for value in values.reshape(-1))
    return f"static {c_text.TYPES[str(values.dtype)]} {name}[] = {{{numbers}}};\n"


@pytest.mark.parametrize("name", CASES)
def test_an_output_in_the_place_of_the_input_is_the_same(name: str, tmp_path: Path) -> None:
    window, outputs, groups = CASES[name]
    product = product_of(window, outputs, groups)
    assert in_place.fits(window, outputs)
    whole = families.choose(product, ())
    part, bands = in_place.choose(product, lambda cut: families.choose(cut, ()))
    assert bands.count > 1
    kernels = {kernel.name: lower.lower_kernel(kernel.name, kernel.build()) for kernel in (whole, part)}
    kernels[bands.name] = bands.wrap(kernels)
    functions = "\n".join(kernel.source for kernel in kernels.values())
    image = np.random.default_rng(6).integers(-128, 128, window.height * window.width * window.channels).astype(np.int8)
    size = window.output_height * window.output_width * outputs

    def call(function: str, constants: str, output: str, scalars: list[int]) -> str:
        rooms = [f"malloc({each})" for each in kernels[function].workspaces]
        words = ["image", f"{constants}_weights", f"{constants}_table", output, *map(str, scalars), *rooms]
        return f"  {function}({', '.join(words)});\n"

    source = tmp_path / "kernels.c"
    headers = "".join(f"#include <{each}.h>\n" for each in ("math", "stdbool", "stdint", "stdio", "stdlib", "string"))
    source.write_text(
        f"{headers}#define KERNEL static\n{c_text.inline_functions(functions)}"
        + c_math.definitions(functions)
        + functions
        + array("image", image)
        + "".join(
            array(f"{kind}_{role}", values)
            for kind, kernel in (("whole", whole), ("part", part))
            for role, values in kernel.constants.items()
        )
        + f"int main(void) {{\n  int8_t *wanted = malloc({size});\n"
        + call(whole.name, "whole", "wanted", whole.scalars)
        + call(bands.name, "part", "image", [*part.scalars, product.input_zero])
        + f"  return memcmp(wanted, image, {size}) != 0;\n}}\n"
    )
    program = tmp_path / "kernels"
    subprocess.run(["gcc", *FLAGS, "-o", program, source], check=True)
    done = subprocess.run(
        [program], env={"ASAN_OPTIONS": "detect_leaks=0"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "outputs"),
    [
        ({}, 32),
        ({"kernel": (2, 3), "padding": (3, 1, 0, 1)}, 16),
        ({"kernel": (1, 1), "stride": (2, 2), "padding": (0, 0, 0, 0)}, 16),
        ({"width": 3, "channels": 4}, 4),
    ],
    ids=["more output than input", "more rows above than bands share", "rows that nobody sees", "rows out of step"],
)
def test_a_layer_whose_bands_would_get_in_the_way_is_left_alone(change: dict[str, Any], outputs: int) -> None:
    window = Window(height=8, width=8, channels=16, kernel=(3, 3), padding=SAME)
    assert in_place.fits(window, 16)
    assert not in_place.fits(dataclasses.replace(window, **change), outputs)
