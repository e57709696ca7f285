"""The plain C of the Helium kernels' scaling is gemmlowp's double rounding, as quantized.py defines it."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompress.compile import c_mve, quantized
from edgecompress.compile.quantized import Multiplier

Scale = Callable[[int, int, int], int]

SIGNIFICANDS = st.one_of(st.just(0), st.just(2**30), st.integers(2**30, 2**31 - 1))


@pytest.fixture(scope="module")
def scale(tmp_path_factory: pytest.TempPathFactory) -> Scale:
    folder = tmp_path_factory.mktemp("scaling")
    source = folder / "scale.c"
    text = "int32_t scale(int32_t a, int32_t b, int32_t c) {\n  return mve_scale_up(a, b, c);\n}\n"
    source.write_text(f"#include <stdint.h>\n{c_mve.definitions(text)}{text}")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", folder / "scale.so", source], check=True)
    return ctypes.CDLL(str(folder / "scale.so")).scale


def expected(total: int, by: Multiplier) -> int:
    return int(quantized.scale(np.array(total, np.int64), by))


@given(total=st.integers(-(2**31) + 1, 2**31 - 1), value=SIGNIFICANDS, shift=st.integers(-31, -1))
def test_sums_are_scaled_down_as_in_tflite(scale: Scale, total: int, value: int, shift: int) -> None:
    assert scale(total, value, shift) == expected(total, Multiplier(value=value, shift=shift))


@given(total=st.integers(-(2**20), 2**20), value=SIGNIFICANDS, shift=st.integers(0, 10))
def test_sums_are_scaled_up_as_in_tflite(scale: Scale, total: int, value: int, shift: int) -> None:
    assert scale(total, value, shift) == expected(total, Multiplier(value=value, shift=shift))


@pytest.mark.parametrize(("total", "wanted"), [(2, 1), (-2, -1), (6, 2), (-6, -2), (1, 1), (-1, 0)])
def test_halves_are_rounded_away_from_zero_by_the_division(scale: Scale, total: int, wanted: int) -> None:
    assert scale(total, 2**30, -1) == wanted


def test_nothing_is_defined_for_c_that_calls_nothing() -> None:
    assert c_mve.definitions("int main(void) { return 0; }") == ""


def test_a_definition_brings_those_that_it_calls_before_itself() -> None:
    text = c_mve.definitions("mve_multiply_row_up(x);")

    order = [text.index(f" {name}(") for name in ("mve_scale", "mve_multiply_plain_up", "mve_multiply_row_up")]
    assert order == sorted(order)
    assert "mve_depthwise" not in text
