"""Where an address of a program lies: its function, and its line where the ELF file knows lines (DWARF)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

THUMB_BIT = 1


def find(program: Path, address: int) -> str | None:
    """Return `function, file.c:12`, as much of it as the ELF file tells; None when it tells nothing of the address."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with program.open("rb") as file:
            elf = ELFFile(file)
            told = [part for part in (_function(elf, address), _line(elf, address)) if part is not None]
    except (OSError, ELFError):
        return None
    return ", ".join(told) or None


def _function(elf: Any, address: int) -> str | None:
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table is not None else ():
        start = symbol["st_value"] & ~THUMB_BIT if elf["e_machine"] == "EM_ARM" else symbol["st_value"]
        if symbol["st_info"]["type"] == "STT_FUNC" and start <= address < start + symbol["st_size"]:
            return str(symbol.name)
    return None


def _line(elf: Any, address: int) -> str | None:
    if not elf.has_dwarf_info():
        return None
    dwarf = elf.get_dwarf_info()
    for unit in dwarf.iter_CUs():
        lines = dwarf.line_program_for_CU(unit)
        found = _row(lines, address) if lines is not None else None
        if found is not None:
            return _file_name(lines, found.file) + f":{found.line}"
    return None


def _row(lines: Any, address: int) -> Any | None:
    """The last row at or before the address within a sequence that reaches past it."""
    before = None
    for entry in lines.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and before.address <= address < state.address:
            return before
        before = None if state.end_sequence else state
    return None


def _file_name(lines: Any, index: int) -> str:
    """The file's name: numbered from 1 up to DWARF 4, from 0 since DWARF 5."""
    first = 0 if lines["version"] >= 5 else 1
    return str(lines["file_entry"][index - first].name, "utf-8", "replace")
