from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tvm
import tvm.te
from tvm.script import tirx as T  # noqa: N812

from edgecompress.compile import c_text, lower
from edgecompress.compile.program import CKernel

# 0.123456789 and 1e-20 lose bits in the six decimals that TVM prints.
FACTOR = 0.123456789
FLOOR = -1e-20


@T.prim_func(s_tir=True, private=True)
def scaled(a: T.Buffer((8,), "float32"), out: T.Buffer((8,), "float32")):
    for i in range(8):
        with T.sblock("scaled"):
            v = T.axis.spatial(8, i)
            out[v] = T.max(a[v] * T.float32(FACTOR), T.float32(FLOOR))


@T.prim_func(s_tir=True, private=True)
def bits(a: T.Buffer((8,), "float32"), out: T.Buffer((8,), "int32")):
    for i in range(8):
        with T.sblock("bits"):
            v = T.axis.spatial(8, i)
            out[v] = T.reinterpret("int32", a[v] + T.float32(1.5))


@T.prim_func(s_tir=True, private=True)
def prefix_sums(a: T.Buffer((32,), "int8"), out: T.Buffer((32,), "int32"), start: T.int32):
    sums = T.sblock_alloc_buffer((33,), "int32")
    for i in range(33):
        with T.sblock("sums"):
            v = T.axis.opaque(33, i)
            sums[v] = T.if_then_else(v == 0, start, sums[T.max(v - 1, 0)] + T.Cast("int32", a[T.max(v - 1, 0)]))
    for i in range(32):
        with T.sblock("out"):
            v = T.axis.spatial(32, i)
            out[v] = sums[v + 1] - sums[0]


@T.prim_func(s_tir=True, private=True)
def doubles(a: T.Buffer((8,), "float64"), out: T.Buffer((8,), "float64")):
    for i in range(8):
        with T.sblock("doubles"):
            v = T.axis.spatial(8, i)
            out[v] = a[v] * T.float64(0.1)


@T.prim_func(s_tir=True, private=True)
def unrolled_maximum(a: T.Buffer((6,), "int32"), out: T.Buffer((2,), "int32")):
    most = T.sblock_alloc_buffer((1,), "int32")
    least = T.sblock_alloc_buffer((1,), "int32")
    most[0] = a[0]
    least[0] = a[0]
    for i in T.unroll(5):
        with T.sblock("most"):
            v = T.axis.reduce(5, i)
            most[0] = T.max(most[0], a[v + 1])
            least[0] = T.min(least[0], a[v + 1])
    out[0] = most[0]
    out[1] = least[0]


@T.prim_func(s_tir=True, private=True)
def leftovers(a: T.Buffer((4,), "int32"), out: T.Buffer((4,), "int32")):
    for i in range(4):
        with T.sblock("out"):
            v = T.axis.spatial(4, i)
            unused = T.bind(a[v] * 7)  # noqa: F841
            out[v] = a[v] + 1


def compiled(kernel: CKernel, folder: Path) -> ctypes.CDLL:
    source = folder / "kernel.c"
    library = folder / "kernel.so"
    text = kernel.source.replace("KERNEL void", "void")
    source.write_text(f"#include <stdint.h>\n#include <string.h>\n{c_text.inline_functions(text)}{text}")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-Wno-unused-function"]
    subprocess.run(["gcc", *flags, "-shared", "-fPIC", "-o", library, source], check=True)
    return ctypes.CDLL(str(library))


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def test_float_constants_keep_every_bit(tmp_path: Path) -> None:
    library = compiled(lower.lower_kernel("scaled", scaled), tmp_path)
    a = np.array([1, -1, 3.3, 1e-30, 7e8, 0, -1e-25, 2], np.float32)
    out = np.empty(8, np.float32)

    library.scaled(pointer(a), pointer(out))

    assert out.tobytes() == np.maximum(a * np.float32(FACTOR), np.float32(FLOOR)).tobytes()


def test_bits_of_a_float_are_taken_without_punned_pointers(tmp_path: Path) -> None:
    kernel = lower.lower_kernel("bits", bits)
    a = np.arange(8, dtype=np.float32)
    out = np.empty(8, np.int32)

    compiled(kernel, tmp_path).bits(pointer(a), pointer(out))

    assert "*)(&" not in kernel.source
    assert out.tobytes() == (a + np.float32(1.5)).tobytes()


def test_a_maximum_of_unrolled_steps_sees_every_step(tmp_path: Path) -> None:
    a = np.array([3, 9, -4, 2, 8, 1], np.int32)
    out = np.empty(2, np.int32)

    compiled(lower.lower_kernel("unrolled_maximum", unrolled_maximum), tmp_path).unrolled_maximum(
        pointer(a), pointer(out)
    )

    assert out.tolist() == [9, -4]


def test_variables_that_nothing_reads_are_dropped() -> None:
    source = lower.lower_kernel("leftovers", leftovers).source

    assert "* 7" not in source
    assert source.count(" = ") == 2


def test_a_large_buffer_becomes_the_last_parameter_and_scalars_stay_before_it(tmp_path: Path) -> None:
    kernel = lower.lower_kernel("prefix_sums", prefix_sums)
    a = np.arange(-9, 23, dtype=np.int8)
    out, room = np.empty(32, np.int32), np.empty(33, np.int32)

    compiled(kernel, tmp_path).prefix_sums(pointer(a), pointer(out), ctypes.c_int32(40), pointer(room))

    assert kernel.workspaces == (33 * 4,)
    assert np.array_equal(out, np.cumsum(a, dtype=np.int32))
    assert room[0] == 40


def test_read_buffers_are_const_and_all_are_restrict() -> None:
    source = lower.lower_kernel("prefix_sums", prefix_sums).source

    assert "const int8_t *restrict a, int32_t *restrict out, int32_t start, int32_t *restrict sums" in source


def test_nothing_of_tvm_is_left() -> None:
    source = lower.lower_kernel("bits", bits).source

    assert "tvm" not in source.lower()
    assert c_text.FLOAT_MARK not in source


def test_the_same_function_gives_the_same_text() -> None:
    assert lower.lower_kernel("prefix_sums", prefix_sums) == lower.lower_kernel("prefix_sums", prefix_sums)


def test_a_parameter_of_any_name_gets_a_name_that_c_can_read() -> None:
    a = tvm.te.placeholder((4,), "int32", 'conv/1:"é*/')
    out = tvm.te.compute((4,), lambda i: a[i] + 1, name="int")

    source = lower.lower_kernel("plus_one", tvm.te.create_prim_func([a, out])).source

    assert "(const int32_t *restrict conv_1, int32_t *restrict int_)" in source
    assert "int_[i] = (conv_1[i] + 1);" in source


def test_a_double_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^a kernel computes with float64; the generated C knows float32 only$"):
        lower.lower_kernel("doubles", doubles)


def test_a_kernel_name_must_be_an_identifier() -> None:
    with pytest.raises(ValueError, match=r"^'conv/1' is no C identifier, so it cannot name a kernel$"):
        lower.lower_kernel("conv/1", bits)
