"""Weights in fewer bits: what C unpacks is what was packed, whatever the numbers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgecompress.compile import c_text, narrow

FLAGS = (
    *("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror", "-fno-strict-aliasing"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)


def blocks_of_every_range() -> NDArray[np.int8]:
    """Make blocks of every spread from one number to all of int8, the lowest of them anywhere."""
    random = np.random.default_rng(11)
    made = []
    for spread in (0, 1, 2, 3, 4, 7, 8, 15, 16, 30, 31, 32, 63, 64, 127, 128, 200, 254, 255):
        for low in (-128, 127 - spread, int(random.integers(-128, 128 - spread))):
            block = random.integers(low, low + spread, narrow.BLOCK_BYTES, endpoint=True)
            block[random.permutation(narrow.BLOCK_BYTES)[:2]] = low, low + spread
            made.append(block)
    return np.concatenate(made)[:-5].astype(np.int8)


def array(ctype: str, name: str, values: NDArray[np.generic]) -> str:
    numbers = ", ".join(c_text.integer_literal(int(value)) for value in values.tolist())
    return f"static const {ctype} {name}[] = {{{numbers}}};\n"


@pytest.mark.parametrize("ctype", narrow.UNPACK)
@pytest.mark.parametrize("level", ["-O0", "-O2"])
def test_c_unpacks_what_was_packed(level: str, ctype: str, tmp_path: Path) -> None:
    signed, name = blocks_of_every_range(), narrow.UNPACK[ctype]
    values = signed if ctype == "int8_t" else (signed.astype(np.int16) + 128).astype(np.uint8)
    words, heads = narrow.pack(values)
    source = tmp_path / "unpack.c"
    source.write_text(
        "#include <stdint.h>\n#include <stdio.h>\n#include <string.h>\n"
        + array("uint32_t", "planes", words)
        + array("uint16_t", "all_heads", heads)
        + array(ctype, "wanted", values)
        + narrow.definitions(f"{name}(")
        + f"int main(void) {{\n  uint32_t bytes[{heads.size * narrow.WORDS}];\n"
        + f"  const uint32_t *end = {name}(bytes, planes, all_heads, {heads.size}u);\n"
        + "  return memcmp(bytes, wanted, sizeof wanted) != 0 || end != planes + sizeof planes / sizeof *planes;\n}\n"
    )
    subprocess.run(["gcc", *FLAGS, level, source, "-o", tmp_path / "unpack"], check=True, timeout=60)

    done = subprocess.run([tmp_path / "unpack"], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


def test_a_block_takes_the_bits_of_its_range() -> None:
    words, heads = narrow.pack(np.array([-3, 4] * 16 + [100] * 32 + [-128, 127] * 8, np.int8))

    assert heads.tolist() == [125 * 256 + 3, 228 * 256 + 0, 0 * 256 + 8]
    assert words.nbytes == 32 * 3 // 8 + 0 + 32
    assert narrow.definitions("no call of it") == ""
