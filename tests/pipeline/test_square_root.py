"""The square root for cores without a float unit is the one of IEEE 754, to the last bit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgecompress.compile import c_math, c_text

MAIN = """
int main(void) {
  float x;
  while (fread(&x, sizeof x, 1, stdin) == 1) {
    const float root = sqrt_float(x);
    fwrite(&root, sizeof root, 1, stdout);
  }
  return 0;
}
"""


def drawn() -> np.ndarray:
    random = np.random.default_rng(15)
    any_normal = random.integers(0x00800000, 0x7F800000, 200_000).astype(np.uint32).view(np.float32)
    squares = np.arange(1, 4097, dtype=np.float32) ** 2
    close = np.nextafter(squares, np.float32(0))
    return np.concatenate([any_normal, squares, close, np.float32([0, -0.0, -1, 1e-40, 2**-126])])


@pytest.mark.parametrize("flags", [(), ("-D__arm__",)], ids=["instruction", "bit by bit"])
def test_square_roots_are_rounded_to_nearest(flags: tuple[str, ...], tmp_path: Path) -> None:
    functions = c_math.definitions("sqrt_float(x)")
    headers = "#include <math.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n"
    (tmp_path / "roots.c").write_text(headers + c_text.inline_functions(functions + MAIN) + functions + MAIN)
    strict = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-Wno-unused-function")
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = tmp_path / "roots"
    subprocess.run(["gcc", *strict, *sanitizers, *flags, "-o", program, tmp_path / "roots.c", "-lm"], check=True)
    x = drawn()

    found = np.frombuffer(subprocess.run([program], input=x.tobytes(), capture_output=True, check=True).stdout, "<f4")

    wanted = np.sqrt(np.where(x >= 2.0**-126, x, 0).astype(np.float32))
    assert np.array_equal(found.view(np.uint32), wanted.view(np.uint32))
