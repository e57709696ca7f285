"""What a firmware with slots is built from, and the images of a network for them (docs/slots.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgecompress.compile import link
from edgecompress.core import files
from edgecompress.core.compilers import Compiler
from edgecompress.core.errors import ToolFailedError
from edgecompress.core.slot_image import SlotImage, SlotImages, SlotName, payload_region
from edgecompress.core.target import Memory, Slots

if TYPE_CHECKING:
    from edgecompress.compile.draft import Draft
    from edgecompress.core.slot_key import PublicKey

SOURCE = "slots.c"
FOLDER = Path("slots")
RAM_END = "__edgert_bss_end"
BYTES_A_LINE = 16


def source(slots: Slots, key: PublicKey) -> str:
    """Print the C file that tells the runtime where the slots lie, and by which key their images are signed."""
    lines = (key.raw[at : at + BYTES_A_LINE] for at in range(0, len(key.raw), BYTES_A_LINE))
    numbers = "".join(f"    {', '.join(f'0x{byte:02x}' for byte in line)},\n" for line in lines)
    return f"""\
/* The slots of this firmware (docs/slots.md). */
#include "flash.h"
#include "slots.h"

/* {key.fingerprint} */
const uint8_t edgert_slot_key[32] = {{
{numbers}}};

static const edgert_flash_layout layout = {{
    .slot_origin = {{0x{slots.a.origin:08x}u, 0x{slots.b.origin:08x}u}},
    .slot_bytes = {slots.a.length}u,
    .sector_bytes = {slots.sector_bytes}u,
    .write_unit = {slots.write_bytes}u,
    .ram_origin = 0x{slots.ram.origin:08x}u,
    .ram_bytes = {slots.ram.length}u,
}};

const edgert_flash_layout *edgert_flash_geometry(void) {{
  return &layout;
}}
"""


def build_images(draft: Draft, network: link.Network, compiler: Compiler) -> SlotImages | None:
    """Link the network for each slot; None for a bundle without slots."""
    slots = draft.target.slots
    if draft.slot_key is None or slots is None:
        return None
    return SlotImages(
        key=draft.slot_key.fingerprint,
        a=_build(draft, network, compiler, "a", slots),
        b=_build(draft, network, compiler, "b", slots),
    )


def _build(draft: Draft, network: link.Network, compiler: Compiler, name: SlotName, slots: Slots) -> SlotImage:
    slot = slots.a if name == "a" else slots.b
    memory = Memory(flash=payload_region(slot), ram=slots.ram)
    (draft.folder / FOLDER).mkdir(exist_ok=True)
    elf, payload = FOLDER / f"{name}.elf", FOLDER / f"{name}.bin"
    link.build_slot_payload(draft.objects, network, draft.target, compiler, memory, elf)
    draft.objects.run([*compiler.copier, "-O", "binary", str(elf), str(payload)])
    entry, ram_end = _read(draft.folder / elf)
    return SlotImage(
        slot=name,
        file=str(payload),
        elf=str(elf),
        payload_bytes=(draft.folder / payload).stat().st_size,
        address=slot.origin,
        entry=entry,
        ram_origin=slots.ram.origin,
        ram_bytes=ram_end - slots.ram.origin,
        sha256=files.sha256(draft.folder / payload),
    )


def _read(program: Path) -> tuple[int, int]:
    """Read from a linked payload where it is entered, and where the RAM that it takes ends."""
    with program.open("rb") as file:
        elf = ELFFile(file)
        symbols = elf.get_section_by_name(".symtab")
        ends = symbols.get_symbol_by_name(RAM_END) if isinstance(symbols, SymbolTableSection) else None
        if not ends:
            raise ToolFailedError(f"{program} names no {RAM_END}", hint="was its symbol table stripped?")
        return elf["e_entry"], ends[0]["st_value"]
