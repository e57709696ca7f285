"""Matrix products that take less flash: a C function that calls a kernel for one part of the outputs after the other.

Before a part is computed, what its kernel reads is written into RAM: the table of (bias, multiplier, shift), where all
outputs have one multiplier and shift and only the biases lie in flash; and the weights, where they are packed
(narrow.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.compile import c_text, narrow
from edgecompress.compile.program import CKernel

COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class OneScale:
    """A table that is written for each part, row by row (`by_row`) or column by column."""

    by_row: bool


@dataclass(frozen=True, kw_only=True)
class Parts:
    """How outputs are cut for `kernel`, which reads `table_words` and `weights_bytes`, and makes `outputs`.

    `packed` says that the weights are unpacked first.
    """

    kernel: str
    count: int
    outputs: int
    table_words: int
    weights_bytes: int
    one_scale: OneScale | None = None
    packed: bool = False

    @property
    def name(self) -> str:
        """The name of the function that goes through the parts, with all that it depends on."""
        words = [*(["one_scale"] if self.one_scale else []), *(["packed"] if self.packed else [])]
        return "_".join([*words, self.kernel, f"x{self.count}"])

    @property
    def rows(self) -> int:
        """Rows of the table of a part."""
        return self.table_words // COLUMNS

    @property
    def blocks(self) -> int:
        """Blocks of packed weights of a part."""
        return narrow.block_count(self.weights_bytes)

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that the function calls."""
        return (self.kernel,)

    def wrap(self, kernels: Mapping[str, CKernel]) -> CKernel:
        """Write the function: it takes what the kernel takes, but for what `_parameters` puts in its place."""
        return _wrap(self, kernels[self.kernel])


def _wrap(parts: Parts, kernel: CKernel) -> CKernel:
    workspaces = list(kernel.workspaces)
    workspaces += [parts.table_words * 4] if parts.one_scale else []
    workspaces += [parts.blocks * narrow.BLOCK_BYTES] if parts.packed else []
    source = (
        f"{c_text.wrapped(f'KERNEL void {parts.name}(', _parameters(parts, kernel))}) {{\n"
        f"{_fill_table(parts)}"
        f"  for (uint32_t part = 0; part < {parts.count}u; ++part) {{\n"
        f"{_write_biases(parts)}{_unpack(parts, kernel)}"
        f"    {kernel.name}({', '.join(_arguments(parts, kernel))});\n"
        "  }\n}\n"
    )
    return CKernel(name=parts.name, source=source, workspaces=tuple(workspaces), calls=(kernel.name,))


def _parameters(parts: Parts, kernel: CKernel) -> list[str]:
    """Biases are in the table's place, planes and heads in that of the weights.

    Multiplier and shift follow the kernel's scalars; the table and the weights in RAM are the last workspaces.
    """
    parameters = c_text.parameters(kernel.source)
    if parts.one_scale:
        scalars_end = len(parameters) - len(kernel.workspaces)
        parameters[scalars_end:scalars_end] = ["int32_t multiplier", "int32_t shift"]
        parameters[2] = "const int32_t *bias"
        parameters.append("int32_t *table")
    if parts.packed:
        parameters[1:2] = ["const uint32_t *packed", "const uint16_t *heads"]
        parameters.append("uint32_t *weights")
    return parameters


def _arguments(parts: Parts, kernel: CKernel) -> list[str]:
    """What the kernel is called with for a part."""
    image, weights, table, output, *others = (each.split()[-1].lstrip("*") for each in c_text.parameters(kernel.source))
    return [
        image,
        f"(const {_weights_type(kernel)} *)weights" if parts.packed else f"{weights} + part * {parts.weights_bytes}u",
        "table" if parts.one_scale else f"{table} + part * {parts.table_words}u",
        f"{output} + part * {parts.outputs}u",
        *others,
    ]


def _place(parts: Parts, one_scale: OneScale, column: int) -> str:
    """Where in the table row i has a column."""
    return f"i * {COLUMNS}u + {column}u" if one_scale.by_row else f"i + {column * parts.rows}u"


def _fill_table(parts: Parts) -> str:
    if parts.one_scale is None:
        return ""
    return (
        f"  for (uint32_t i = 0; i < {parts.rows}u; ++i) {{\n"
        f"    table[{_place(parts, parts.one_scale, 1)}] = multiplier;\n"
        f"    table[{_place(parts, parts.one_scale, 2)}] = shift;\n"
        "  }\n"
    )


def _write_biases(parts: Parts) -> str:
    if parts.one_scale is None:
        return ""
    return (
        f"    for (uint32_t i = 0; i < {parts.rows}u; ++i) {{\n"
        f"      table[{_place(parts, parts.one_scale, 0)}] = bias[part * {parts.rows}u + i];\n"
        "    }\n"
    )


def _unpack(parts: Parts, kernel: CKernel) -> str:
    if not parts.packed:
        return ""
    name = narrow.UNPACK[_weights_type(kernel)]
    return f"    packed = {name}(weights, packed, heads + part * {parts.blocks}u, {parts.blocks}u);\n"


def _weights_type(kernel: CKernel) -> str:
    return c_text.parameters(kernel.source)[1].split()[1]
