"""Run kernels as C with address and undefined sanitizers."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tvm import tirx

from edgecompress.compile import c_math, c_text, lower

Array = np.ndarray[Any, Any]

FLAGS = (
    *("-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"),
    *("-Wno-unused-function", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kernel with its operands, and what it must write."""

    function: tirx.PrimFunc
    arguments: Sequence[Array]
    scalars: Sequence[int] = ()
    wanted: Array


def check(cases: Sequence[Case], folder: Path) -> None:
    """Build all the kernels into one program, run it once, compare what each wrote."""
    for case, found in zip(cases, outputs(cases, folder), strict=True):
        wanted = np.ascontiguousarray(case.wanted).reshape(-1)
        different = np.flatnonzero(found != wanted)
        assert not len(different), f"{len(different)} of {len(wanted)} differ, the first at {different[0]}"


def outputs(cases: Sequence[Case], folder: Path) -> list[Array]:
    """What each kernel writes."""
    kernels = [lower.lower_kernel(f"kernel_{i}", case.function) for i, case in enumerate(cases)]
    functions = "\n".join(kernel.source for kernel in kernels)
    functions = c_math.definitions(functions) + functions
    numbered = enumerate(zip(cases, kernels, strict=True))
    calls = "".join(_call(i, case, kernel.workspaces) for i, (case, kernel) in numbered)
    source = folder / "kernels.c"
    headers = "".join(f"#include <{name}.h>\n" for name in ("math", "stdbool", "stdint", "stdio", "stdlib", "string"))
    source.write_text(
        f"{headers}#define KERNEL static\n{c_text.inline_functions(functions)}{functions}"
        "static void *take(size_t bytes) {\n  void *room = malloc(bytes);\n"
        "  if (room == NULL || fread(room, 1, bytes, stdin) != bytes) { abort(); }\n  return room;\n}\n"
        f"int main(void) {{\n{calls}  return 0;\n}}\n"
    )
    program = folder / "kernels"
    subprocess.run(["gcc", *FLAGS, "-o", program, source], check=True)
    stdin = b"".join(np.ascontiguousarray(array).tobytes() for case in cases for array in case.arguments)
    raw = subprocess.run([program], input=stdin, capture_output=True, check=True).stdout
    found, start = [], 0
    for case in cases:
        found.append(np.frombuffer(raw, case.wanted.dtype, case.wanted.size, start))
        start += case.wanted.nbytes
    return found


def _call(number: int, case: Case, workspaces: Sequence[int]) -> str:
    rooms = [f"take({array.nbytes})" for array in case.arguments]
    rooms += [f"malloc({case.wanted.nbytes})", *(f"malloc({size})" for size in workspaces)]
    names = [f"b{i}" for i in range(len(rooms))]
    pointers = len(case.arguments) + 1
    words = [*names[:pointers], *map(str, case.scalars), *names[pointers:]]
    declared = "".join(f"    void *{name} = {room};\n" for name, room in zip(names, rooms, strict=True))
    freed = "".join(f"    free({name});\n" for name in names)
    written = f"    fwrite({names[pointers - 1]}, 1, {case.wanted.nbytes}, stdout);\n"
    return f"  {{\n{declared}    kernel_{number}({', '.join(words)});\n{written}{freed}  }}\n"


def int8(random: np.random.Generator, *shape: int) -> Array:
    """Numbers from all of int8."""
    return random.integers(-128, 128, shape).astype(np.int8)
