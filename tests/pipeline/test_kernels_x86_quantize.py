"""Float to int8 and back on x86-64: the bytes of the generic kernels, by instructions and without them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tvm import tirx

from edgecompress.compile import c_text, c_x86, lower, threads
from edgecompress.compile.kernels import elementwise, families, x86_family
from edgecompress.compile.kernels.elementwise import Dequantize, Quantize
from edgecompress.compile.program import Call
from edgecompress.core import target as targets
from edgecompress.core.values import Array

FLAGS = ("-std=c11", "-O1", "-ffp-contract=off", "-Wno-psabi", "-fsanitize=address,undefined")
NEEDS = {"x86-64-v3": {"avx2", "fma"}, "x86-64-vnni": {"avx512bw", "avx512vl", "avx512_vnni"}}
"""Profiles, and what /proc/cpuinfo must list for their instructions."""

SCALES = (0.0171, 1 / 128, float(np.uint32(0x3C00FFFF).view(np.float32)), 1e-44, 2.0**-60, 1e38)
"""Any, a power of two, one next to a multiple of 2^16, and those for which an inverse or a limit would overflow."""
ZEROS = (-2, 127, -128, 0, 5, -77)
PLANES = ((1, 64), (1, 131), (1, 12_400), (2, 33), (2, 3100), (3, 16), (3, 23), (3, 4107), (4, 19), (4, 1541))
"""Planes and the numbers of each: whole registers and parts of one, one turn and several."""
ELEMENTS = (16, 25, 6209)

HEADERS = "".join(f"#include <{name}.h>\n" for name in ("math", "stdint", "stdio", "stdlib", "string"))
BOTH = """
#define BOTH(generic, own, reads, writes, scale, zero)        \\
  do {                                                        \\
    void *const from = malloc(reads), *const to = malloc(writes); \\
    if (fread(from, 1, reads, stdin) != reads) {              \\
      return 1;                                               \\
    }                                                         \\
    generic(from, to, scale, zero);                           \\
    fwrite(to, 1, writes, stdout);                            \\
    own(from, to, scale, zero);                               \\
    fwrite(to, 1, writes, stdout);                            \\
    free(from);                                               \\
    free(to);                                                 \\
  } while (0)
"""

EVERY_HALF = """
static float float_of(int32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

int main(void) {
  for (int32_t near = -8; near <= 8; ++near) {
    for (int32_t upper = 0; upper < 128; ++upper) {
      const int32_t scale_bits = (120 << 23) + (upper << 16) + near;
      const float scale = float_of(scale_bits);
      const quantizer by = quantizer_of(scale_bits, 0);
      if (by.divides) {
        return 1;
      }
      for (int32_t k = -511; k <= 511; k += 2) {
        const float half = scale * ((float)k / 2.0f);
        int32_t bits;
        memcpy(&bits, &half, sizeof bits);
        float x[8];
        for (int32_t i = 0; i < 8; ++i) {
          x[i] = float_of(bits + i - 4);
        }
        const words8 found = quantized8(x, &by);
        for (uint32_t i = 0; i < 8u; ++i) {
          if (found[i] != (int32_t)lrintf(x[i] / scale)) {
            return 1;
          }
        }
      }
    }
  }
  return 0;
}
"""
"""Tries the numbers next to a half for each scale that c_x86_quantize does not argue for."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A shape class, a scale and a zero point, and the numbers that are read."""

    shape: Quantize | Dequantize
    scale: float
    zero: int
    numbers: Array

    @property
    def written(self) -> int:
        """Bytes of the output."""
        return self.numbers.size * (1 if isinstance(self.shape, Quantize) else 4)


def floats(random: np.random.Generator, scale: float, count: int) -> Array:
    """Numbers of any size, most of them next to a half of the scale, with infinities and NaN among them."""
    with np.errstate(over="ignore"):
        halves = np.float32(scale) * (random.integers(-300, 300, count) + np.float32(0.5)).astype(np.float32)
    next_to_halves = (halves.view(np.int32) + random.integers(-2, 3, count).astype(np.int32)).view(np.float32)
    any_bits = random.integers(0, 2**32, count, dtype=np.uint32).view(np.float32)
    ends = random.choice(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 3.4e38, -3.4e38, 1e-45], np.float32), count)
    return np.choose(random.choice(3, count, p=(0.7, 0.15, 0.15)), (next_to_halves, any_bits, ends))


def cases() -> list[Case]:
    random = np.random.default_rng(8)
    drawn = []
    for scale, zero in zip(SCALES, ZEROS, strict=True):
        for planes, count in PLANES:
            shape = Quantize(shape=(1, planes, count), axes=(0, 2, 1))
            drawn.append(Case(shape=shape, scale=scale, zero=zero, numbers=floats(random, scale, planes * count)))
        for count in ELEMENTS:
            numbers = random.integers(-128, 128, count).astype(np.int8)
            drawn.append(Case(shape=Dequantize(elements=count), scale=scale, zero=zero, numbers=numbers))
    return drawn


def generic(shape: Quantize | Dequantize) -> tirx.PrimFunc:
    return elementwise.build_quantize(shape) if isinstance(shape, Quantize) else elementwise.build_dequantize(shape)


def program(profile: str, asked: Sequence[Case]) -> str:
    """The C of a program that reads the numbers of each case and writes what both kernels make of them."""
    kernels, calls = {}, []
    for case in asked:
        chosen = families.choose_own(case.shape, targets.load(profile).features)
        assert chosen is not None
        own, build = chosen
        kernels[own] = lower.lower_kernel(case.shape.name, generic(case.shape)).source + build().source
        bits = int(np.float32(case.scale).view(np.int32))
        calls.append(
            f"  BOTH({case.shape.name}, {own}, {case.numbers.nbytes}u, {case.written}u, {bits}, {case.zero});\n"
        )
    functions = "\n".join(kernels.values())
    defined = c_x86.definitions(functions) + c_text.inline_functions(functions)
    return f"{HEADERS}#define KERNEL static\n{defined}{functions}{BOTH}int main(void) {{\n{''.join(calls)}}}\n"


def run(text: str, flags: Sequence[str], folder: Path, stdin: bytes) -> bytes:
    source, runner = folder / "program.c", folder / "program"
    source.write_text(text)
    subprocess.run(["gcc", *FLAGS, *flags, "-o", runner, source, "-lm"], check=True)
    return subprocess.run([runner], input=stdin, capture_output=True, check=True).stdout


def agrees(profile: str, flags: Sequence[str], folder: Path) -> None:
    asked = cases()
    raw = run(program(profile, asked), flags, folder, b"".join(case.numbers.tobytes() for case in asked))
    start = 0
    for case in asked:
        middle, end = start + case.written, start + 2 * case.written
        assert raw[start:middle] == raw[middle:end], f"{case.shape.name}, scale {case.scale}"
        start = end
    assert start == len(raw)


def instructions(profile: str) -> tuple[str, ...]:
    """The flags of a profile's instructions; skips on a machine without them."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    has = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    missing = sorted(NEEDS[profile] - has)
    if missing:
        pytest.skip(f"this machine has no {', '.join(missing)}")
    return targets.load(profile).toolchain.cpu_flags


@pytest.mark.parametrize("profile", NEEDS)
def test_numbers_are_quantized_as_by_the_generic_kernels_without_the_instructions(profile: str, tmp_path: Path) -> None:
    agrees(profile, (), tmp_path)


@pytest.mark.parametrize("profile", NEEDS)
def test_numbers_are_quantized_as_by_the_generic_kernels_by_the_instructions(profile: str, tmp_path: Path) -> None:
    agrees(profile, instructions(profile), tmp_path)


def test_products_with_an_inverse_are_rounded_as_quotients_next_to_every_half(tmp_path: Path) -> None:
    text = HEADERS + c_x86.definitions("quantizer_of() quantized8()") + EVERY_HALF

    run(text, (*instructions("x86-64-v3"), "-O2"), tmp_path, b"")


@pytest.mark.parametrize(
    ("shape", "axes", "is_taken"),
    [
        ((1, 3, 224, 224), (0, 2, 3, 1), True),
        ((1, 49, 10), (0, 1, 2), True),
        ((1, 5, 64, 64), (0, 2, 3, 1), False),
        ((1, 64, 64, 3), (0, 3, 1, 2), False),
        ((2, 3, 64, 64), (0, 2, 3, 1), False),
        ((1, 3, 1, 7), (0, 2, 3, 1), False),
        ((), (), False),
    ],
)
def test_few_planes_and_what_keeps_its_order_are_quantized_by_registers(
    shape: tuple[int, ...], axes: tuple[int, ...], is_taken: bool
) -> None:
    chosen = families.choose_own(Quantize(shape=shape, axes=axes), targets.load("x86-64-vnni").features)

    assert (chosen is not None) == is_taken


@pytest.mark.parametrize(("size", "is_spread"), [(224, True), (96, False)])
def test_large_images_are_quantized_by_all_threads(size: int, is_spread: bool) -> None:
    shape = Quantize(shape=(1, 3, size, size), axes=(0, 2, 3, 1))
    kernel = x86_family.own(x86_family.CORES["vnni"])[Quantize].build(shape)
    call = Call(name="input", op="quantize", kernel=kernel.name, arguments=("x",), output="y")

    assert threads.is_long(call, kernel) == is_spread
    assert "edgert_split(" in threads.spread(kernel).source
