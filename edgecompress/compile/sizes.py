"""Read from linked programs what they take: by section, by layer, and against the same program without a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgecompress.compile import threads
from edgecompress.core.bundle import Layer, Sizes

if TYPE_CHECKING:
    from edgecompress.compile.program import Call, Program

_CLONE_SUFFIX = re.compile(rf"\.(constprop|isra|part|cold|lto_priv)\b.*$|{threads.PART}\d+$")


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bytes of one linked program. `flash_bytes` is text + data, `static_ram_bytes` is data + bss.

    `symbols` are functions and objects, `functions` the functions among them.
    """

    flash_bytes: int
    static_ram_bytes: int
    sections: dict[str, int]
    symbols: dict[str, int]
    functions: frozenset[str]


def read_footprint(program: Path) -> Footprint:
    """Read sections and symbols of an ELF file; what gcc split off a function (clones) counts to the function."""
    with program.open("rb") as file:
        elf = ELFFile(file)
        flash_bytes = static_ram_bytes = 0
        sections: dict[str, int] = {}
        symbols: dict[str, int] = {}
        functions: set[str] = set()
        for section in elf.iter_sections():
            flags, size = section["sh_flags"], section["sh_size"]
            if isinstance(section, SymbolTableSection):
                for symbol in section.iter_symbols():
                    if symbol["st_info"]["type"] in ("STT_FUNC", "STT_OBJECT"):
                        name = function_of(symbol.name)
                        symbols[name] = symbols.get(name, 0) + symbol["st_size"]
                        functions.update([name] if symbol["st_info"]["type"] == "STT_FUNC" else [])
            if not flags & SH_FLAGS.SHF_ALLOC or size == 0:
                continue
            sections[section.name] = size
            flash_bytes += 0 if section["sh_type"] == "SHT_NOBITS" else size
            static_ram_bytes += size if flags & SH_FLAGS.SHF_WRITE else 0
    return Footprint(
        flash_bytes=flash_bytes,
        static_ram_bytes=static_ram_bytes,
        sections=sections,
        symbols=symbols,
        functions=frozenset(functions),
    )


def function_of(symbol: str) -> str:
    """The function that a symbol belongs to: parts and specialised copies of one have a suffix, gcc's and our own."""
    return _CLONE_SUFFIX.sub("", symbol)


def compare(whole: Footprint, empty: Footprint, constants: Mapping[str, str]) -> Sizes:
    """Say what the network adds to the firmware with an empty network, and how much of it is weights and code.

    Its code is every function that the empty firmware does not have: kernels, what they share, what the compiler adds.
    """
    code = whole.functions - empty.functions
    return Sizes(
        flash_bytes=whole.flash_bytes - empty.flash_bytes,
        static_ram_bytes=whole.static_ram_bytes - empty.static_ram_bytes,
        firmware_flash_bytes=whole.flash_bytes,
        firmware_static_ram_bytes=whole.static_ram_bytes,
        weights_bytes=sum(whole.symbols.get(name, 0) for name in set(constants.values())),
        code_bytes=sum(whole.symbols.get(name, 0) for name in code),
        sections=whole.sections,
    )


def describe_layers(program: Program, whole: Footprint, constants: Mapping[str, str]) -> tuple[Layer, ...]:
    """Describe each layer. Kernels and weights that several layers share count to the first of them.

    What kernels share (microkernels) counts to no layer.
    """
    shapes = {spec.name: spec.shape for spec in (*program.inputs, *program.outputs)}
    shapes |= {name: tensor.shape for name, tensor in program.tensors.items()}
    counted: set[str] = set()
    layers = []
    for index, call in enumerate(program.calls):
        weights = [constants[name] for name in dict.fromkeys(call.arguments) if name in constants]
        layers.append(
            Layer(
                index=index,
                name=call.name,
                op=call.op,
                kernel=call.kernel,
                onnx_nodes=call.onnx_nodes,
                macs=call.macs,
                weight_bytes=_bytes_of_new(weights, whole.symbols, counted),
                code_bytes=_bytes_of_new(_functions(program, call), whole.symbols, counted),
                output_shape=_shape(call, shapes),
                onnx_output=call.onnx_output,
            )
        )
    return tuple(layers)


def _shape(call: Call, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of what a call makes; inside a border, that of the ONNX value as it lies in memory."""
    value = call.onnx_output
    if value is None or value.inside is None:
        return shapes[call.output]
    shape = tuple(value.shape[axis] for axis in value.axes)
    return shape if value.kept is None else (*shape[:-1], value.kept.count("1"))


def _functions(program: Program, call: Call) -> list[str]:
    """The function of a call, and the kernels that it calls for parts of the layer."""
    cut = program.cuts.get(call.kernel)
    return [call.kernel] if cut is None else [call.kernel, *cut.kernels]


def _bytes_of_new(names: list[str], symbols: Mapping[str, int], counted: set[str]) -> int:
    """Add up the symbols that no layer before has counted, and note them as counted."""
    new = [name for name in dict.fromkeys(names) if name not in counted]
    counted.update(new)
    return sum(symbols.get(name, 0) for name in new)
