"""A bundle's libmodel.a and libmodel.so inside programs that know nothing of edgecompress."""

from __future__ import annotations

import ctypes
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from edgecompress.core.bundle import Bundle

OWN_PROGRAM = r"""
#include <stdio.h>
#include <string.h>
#include "edgecompress.h"

static int calls;

static void backwards(edgecompress_work work, void *context, uint32_t count) {
    ++calls;
    while (count-- > 0) {
        work(count, count + 1, context);
    }
}

int main(void) {
    edgecompress_tensor input, output, none;
    if (edgecompress_inputs() != 1 || edgecompress_outputs() != 1 || edgecompress_input(1, &none) ||
        !edgecompress_input(0, &input) || !edgecompress_output(0, &output)) {
        return 1;
    }
    edgecompress_use_splitter(backwards);
    while (fread(input.data, 1, input.bytes, stdin) == input.bytes) {
        edgecompress_run();
        fwrite(output.data, 1, output.bytes, stdout);
    }
    fprintf(stderr, "%s %d %u %.9g %d\n", input.name, (int)input.type, input.rank, input.scale, input.zero_point);
    return 0;
}
"""
FROM_OUTSIDE = {"memcpy", "memmove", "memset"}


@pytest.fixture(scope="module")
def bundle(compiled: Callable[..., object]) -> Bundle:
    return compiled("kws_dscnn").bundle  # type: ignore[attr-defined, no-any-return]


def vectors(bundle: Bundle) -> tuple[bytes, bytes]:
    inputs, outputs = bundle.vectors()
    return next(iter(inputs.values())).tobytes(), next(iter(outputs.values())).tobytes()


@pytest.mark.parametrize("compiler", [["gcc", "-std=c11"], ["g++", "-x", "c++"]])
def test_a_program_with_the_archive_computes_the_test_vectors(
    compiler: list[str], bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "main.c").write_text(OWN_PROGRAM)
    library = bundle.folder / "lib"
    flags = ["-Wall", "-Wextra", "-Werror", f"-I{library}"]
    words = [*compiler, *flags, tmp_path / "main.c", "-x", "none", library / "libmodel.a", "-o", tmp_path / "main"]
    subprocess.run(words, check=True, timeout=60)
    inputs, outputs = vectors(bundle)

    done = subprocess.run([tmp_path / "main"], input=inputs, capture_output=True, timeout=60)

    assert done.stdout == outputs
    spec = bundle.manifest.inputs[0]
    assert done.stderr.decode().split() == [
        spec.name,
        "1",
        str(len(spec.shape)),
        f"{np.float32(spec.scale):.9g}",
        str(spec.zero_point),
    ]


def test_ctypes_loads_the_shared_library_and_computes_the_test_vectors(bundle: Bundle) -> None:
    namespace: dict[str, object] = {"__name__": "example"}
    example = bundle.folder / "lib" / "example.py"
    exec(compile(example.read_text(), example, "exec"), namespace)
    library = namespace["load"](bundle.folder / "lib" / "libmodel.so")  # type: ignore[operator]
    given, wanted = namespace["Tensor"](), namespace["Tensor"]()  # type: ignore[operator]
    assert library.edgecompress_input(0, ctypes.byref(given))
    assert library.edgecompress_output(0, ctypes.byref(wanted))
    assert not library.edgecompress_output(1, ctypes.byref(wanted))
    inputs, outputs = vectors(bundle)

    found = b""
    for start in range(0, len(inputs), given.bytes):
        ctypes.memmove(given.data, inputs[start : start + given.bytes], given.bytes)
        library.edgecompress_run()
        found += ctypes.string_at(wanted.data, wanted.bytes)

    assert found == outputs


def test_the_example_prints_an_output(bundle: Bundle, tmp_path: Path) -> None:
    inputs, outputs = vectors(bundle)
    spec, out = bundle.manifest.inputs[0], bundle.manifest.outputs[0]
    (tmp_path / "input").write_bytes(inputs[: spec.byte_size])

    words = [sys.executable, "-I", "-S", bundle.folder / "lib" / "example.py"]
    done = subprocess.run([*words, tmp_path / "input"], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.startswith(f"{out.name} (b 1x12) ")
    assert [int(word) for word in done.stdout.split()[3:]] == list(np.frombuffer(outputs[: out.byte_size], np.int8))

    (tmp_path / "input").write_bytes(inputs[: spec.byte_size - 1])
    done = subprocess.run([*words, tmp_path / "input"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert re.search(rf"takes {spec.byte_size} bytes; the file has {spec.byte_size - 1}", done.stderr)


def test_the_shared_library_shows_its_interface_and_needs_no_other_library(bundle: Bundle) -> None:
    with (bundle.folder / "lib" / "libmodel.so").open("rb") as file:
        elf = ELFFile(file)
        symbols = list(elf.get_section_by_name(".dynsym").iter_symbols())
        needed = [tag.needed for tag in elf.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")]
        assert elf["e_machine"] == {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}.get(platform.machine())
    header = (bundle.folder / "lib" / "edgecompress.h").read_text()
    interface = set(re.findall(r"^EDGECOMPRESS_API \w+ (\w+)\(", header, re.MULTILINE))
    shown = {symbol.name for symbol in symbols if symbol["st_shndx"] != "SHN_UNDEF"}
    taken = {symbol.name for symbol in symbols if symbol["st_shndx"] == "SHN_UNDEF" and symbol.name}
    assert shown == interface
    assert taken <= FROM_OUTSIDE
    assert needed == []
