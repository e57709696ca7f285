"""Layers that take less flash: a C function that calls a kernel for one part of the output channels after the other.

Before a part is computed, what its kernel reads is written into RAM: the table of (bias, multiplier, shift), where it
lies shorter in flash (part_tables.py); and the weights, where they are packed (narrow.py, codebook.py). Where an image
has several pixels, a part of their channels is written apart, then between the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.codebook import Indices
from edgecompress.compile.narrow import Blocks
from edgecompress.compile.part_tables import COLUMNS, PartTable
from edgecompress.compile.program import CKernel

Packing = Blocks | Indices
"""How weights lie in flash: what a function takes in their place, the RAM it needs, the C that unpacks them."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """How outputs are cut for `kernel`, which reads `table_words` and `weights_bytes`, and makes `outputs`.

    `table` says how the table is written first, `packing` how the weights are unpacked. The image that comes out has
    `pixels`.
    """

    kernel: str
    count: int
    outputs: int
    table_words: int
    weights_bytes: int
    table: PartTable | None = None
    packing: Packing | None = None
    pixels: int = 1

    @property
    def name(self) -> str:
        """The name of the function that goes through the parts, with all that it depends on."""
        words = [each.word for each in (self.table, self.packing) if each]
        return "_".join([*words, self.kernel, f"x{self.count}"])

    @property
    def rows(self) -> int:
        """Rows of the table of a part."""
        return self.table_words // COLUMNS

    @property
    def apart_bytes(self) -> int:
        """The bytes of a part that is written apart."""
        return self.pixels * self.outputs if self.pixels > 1 and self.count > 1 else 0

    @property
    def workspaces(self) -> dict[str, int]:
        """What the function needs in RAM beside what the kernel does: declaration and bytes."""
        table = {"int32_t *table": self.table_words * 4} if self.table else {}
        apart = {"int8_t *apart": self.apart_bytes} if self.apart_bytes else {}
        return {**table, **(self.packing.workspaces if self.packing else {}), **apart}

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that the function calls."""
        return (self.kernel,)

    def wrap(self, kernels: Mapping[str, CKernel]) -> CKernel:
        """Write the function: it takes what the kernel takes, but for what `_parameters` puts in its place."""
        return _wrap(self, kernels[self.kernel])


def _wrap(parts: Parts, kernel: CKernel) -> CKernel:
    source = (
        f"{c_text.wrapped(f'KERNEL void {parts.name}(', _parameters(parts, kernel))}) {{\n"
        f"{parts.table.begin(parts.rows) if parts.table else ''}{parts.packing.begin() if parts.packing else ''}"
        f"  for (uint32_t part = 0; part < {parts.count}u; ++part) {{\n"
        f"{parts.table.write(parts.rows) if parts.table else ''}{parts.packing.unpack() if parts.packing else ''}"
        f"    {kernel.name}({', '.join(_arguments(parts, kernel))});\n"
        f"{_place_between(parts, kernel)}"
        "  }\n}\n"
    )
    workspaces = (*kernel.workspaces, *parts.workspaces.values())
    return CKernel(name=parts.name, source=source, workspaces=workspaces, calls=(kernel.name,))


def _parameters(parts: Parts, kernel: CKernel) -> list[str]:
    """What the table is written from is in its place, what the packing reads in that of the weights.

    The table's scalars follow the kernel's; the workspaces of the function are the last ones.
    """
    parameters = c_text.parameters(kernel.source)
    if parts.table:
        scalars_end = len(parameters) - len(kernel.workspaces)
        parameters[scalars_end:scalars_end] = parts.table.scalars
        parameters[2] = parts.table.parameter
    if parts.packing:
        parameters[1:2] = parts.packing.parameters
    return [*parameters, *parts.workspaces]


def _arguments(parts: Parts, kernel: CKernel) -> list[str]:
    """What the kernel is called with for a part."""
    arguments = c_text.names(kernel.source)
    output = _output(kernel)
    if parts.packing:
        arguments[1] = f"(const {_weights_type(kernel)} *)weights"
    else:
        arguments[1] += f" + part * {parts.weights_bytes}u"
    arguments[2] = "table" if parts.table else f"{arguments[2]} + part * {parts.table_words}u"
    arguments[output] = "apart" if parts.apart_bytes else f"{arguments[output]} + part * {parts.outputs}u"
    return arguments


def _place_between(parts: Parts, kernel: CKernel) -> str:
    """Copy what was written apart to its place in every pixel."""
    if not parts.apart_bytes:
        return ""
    output = c_text.names(kernel.source)[_output(kernel)]
    place = f"{output} + pixel * {parts.count * parts.outputs}u + part * {parts.outputs}u"
    return (
        f"    for (uint32_t pixel = 0; pixel < {parts.pixels}u; ++pixel) {{\n"
        f"      memcpy({place}, apart + pixel * {parts.outputs}u, {parts.outputs}u);\n"
        "    }\n"
    )


def _output(kernel: CKernel) -> int:
    """Which parameter the output is: the last pointer before the workspaces."""
    pointers = sum("*" in each for each in c_text.parameters(kernel.source))
    return pointers - len(kernel.workspaces) - 1


def _weights_type(kernel: CKernel) -> str:
    return c_text.parameters(kernel.source)[1].split()[1]
