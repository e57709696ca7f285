"""The vector functions of c_vector_math: their largest errors, and the same bytes with every width."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecompress.compile import c_vector_math
from edgecompress.core.values import Array

COUNT = 400_000
RANGES = {"exp": (-87.3, 88.7), "sigmoid": (-80.0, 80.0), "erf": (-5.0, 5.0), "tanh": (-12.0, 12.0)}
LARGEST_ULP = {"exp": 2.0, "sigmoid": 3.0, "erf": 5.0, "tanh": 5.0}
EXACT = {
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "tanh": np.tanh,
}
FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-psabi", "-Werror")


def program(width: int, *, fused: bool) -> str:
    """Read COUNT numbers; write each function of all of them."""
    loops = []
    for name in RANGES:
        value = c_vector_math.call(name, width, f"load_vec{width}(x + i)", fused=fused)
        loops += [*c_vector_math.kept(name, width), f"for (uint32_t i = 0; i < {COUNT}u; i += {width}u) {{"]
        loops += [f"store_vec{width}(y + i, {value});", "}", "fwrite(y, sizeof y, 1, stdout);"]
    body = "\n".join(loops)
    head = "#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n"
    return (
        f"{head}{c_vector_math.definitions(body)}static float x[{COUNT}], y[{COUNT}];\nint main(void) {{\n"
        f"if (fread(x, sizeof x, 1, stdin) != 1) {{ return 1; }}\n{body}\nreturn 0;\n}}\n"
    )


def computed(width: int, numbers: Array, folder: Path, *, fused: bool) -> dict[str, Array]:
    (folder / "math.c").write_text(program(width, fused=fused))
    flags = (*FLAGS, "-mfma") if fused else FLAGS
    subprocess.run(["gcc", *flags, "math.c", "-lm", "-o", "math"], cwd=folder, check=True)
    raw = subprocess.run([folder / "math"], input=numbers.tobytes(), capture_output=True, check=True).stdout
    return dict(zip(RANGES, np.frombuffer(raw, np.float32).reshape(len(RANGES), COUNT), strict=True))


def numbers() -> Array:
    """Large, small and typical ones."""
    random = np.random.default_rng(4)
    spread = random.uniform(-1, 1, COUNT) * 10.0 ** random.uniform(-6, 2.2, COUNT)
    return np.asarray(spread, np.float32)


@pytest.mark.parametrize("fused", [True, False])
def test_no_error_is_larger_than_the_stated_one(fused: bool, tmp_path: Path) -> None:
    x = numbers()
    found = computed(4, x, tmp_path, fused=fused)

    for name, values in found.items():
        low, high = RANGES[name]
        inside = (x >= low) & (x <= high)
        exact = EXACT[name](x[inside].astype(np.float64))
        ulp = np.abs(values[inside] - exact) / np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
        assert ulp.max() <= LARGEST_ULP[name], f"{name}: {ulp.max():.2f} ulp at {x[inside][ulp.argmax()]}"


def test_every_width_gives_the_same_bytes(tmp_path: Path) -> None:
    x = numbers()
    four, eight = (computed(width, x, tmp_path, fused=True) for width in (4, 8))

    assert {name: values.tobytes() for name, values in four.items()} == {
        name: values.tobytes() for name, values in eight.items()
    }
