"""A fault record in words: the layer, the line of C, what the core's status says, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from edgecompress.core import source_line
from edgecompress.core.answers import Fault
from edgecompress.core.bundle import Bundle

CFSR_CAUSES = {
    0: "instruction fetch refused",
    1: "data access refused",
    4: "stack overflow or damaged stack pointer",
    5: "floating-point state not saved",
    8: "instruction fetch failed on the bus",
    9: "data access failed on the bus",
    10: "data access failed on the bus, some instructions before",
    12: "stack overflow or damaged stack pointer",
    13: "floating-point state not saved",
    16: "undefined instruction",
    17: "call of an address that is no Thumb code",
    18: "damaged return address",
    19: "coprocessor switched off",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}
"""Bits of the Configurable Fault Status Register: Armv8-M Architecture Reference Manual, D1.2.11."""

STACK_BITS = (4, 12, 20)
LINK_REGISTER = 14
INSTRUCTION_BYTES = 2


def describe(fault: Fault, bundle: Bundle | None) -> str:
    """Say what happened where; `bundle` is what the host believes to be on the device.

    Layer, function and line are only named when the record is of the bundle's own program.
    """
    own = bundle is not None and bundle.manifest.build_id.startswith(fault.program)
    parts = [f"{fault.kind} {_layer(fault, bundle if own else None)}"]
    if fault.pc or fault.detail or fault.registers:
        parts.append(
            f"at pc {fault.pc:#x}{_line(fault, _program(fault, bundle)) if bundle is not None and own else ''}"
        )
        parts.append(f"address {fault.address:#x}")
        parts.append(f"status {fault.detail:#x}{_causes(fault)}")
    if fault.stack_bytes is not None:
        parts.append(f"{fault.stack_bytes:,} bytes of stack taken")
    if fault.program and not own:
        parts.append(f"in another program (build {fault.program}…)")
    return ", ".join(parts)


def advise(fault: Fault) -> str:
    """Say what to do next."""
    if fault.kind == "watchdog fault":
        return (
            "a layer did not end: is the clock slower than the profile says? else this is a bug in the generated code"
        )
    if fault.kind == "a reset":
        return "something outside reset the board: its button, a debugger, a dip of its supply"
    if any(fault.detail >> bit & 1 for bit in STACK_BITS) and fault.registers == ():
        return "give the stack more RAM: a smaller arena (--optimize ram), or a larger RAM region in the target profile"
    return "compile again; if it happens again, this is a bug in the generated code or too small a stack"


def _layer(fault: Fault, bundle: Bundle | None) -> str:
    if fault.layer is None:
        return "outside of the network"
    layers = bundle.manifest.layers if bundle is not None else ()
    name = f" ({layers[fault.layer].name})" if fault.layer < len(layers) else ""
    return f"in layer {fault.layer}{name}"


def _program(fault: Fault, bundle: Bundle) -> Path:
    """The ELF file that the failing instruction is of: a slot's image, or the firmware."""
    images = bundle.manifest.slots
    inside = [image for image in (images.a, images.b) if image.holds(fault.pc)] if images is not None else []
    return bundle.folder / inside[0].elf if inside else bundle.program


def _line(fault: Fault, program: Path) -> str:
    """The line that failed; where a call went nowhere, the one that called."""
    found = source_line.find(program, fault.pc)
    if found is None and fault.registers:
        caller = source_line.find(program, fault.registers[LINK_REGISTER] - INSTRUCTION_BYTES & ~source_line.THUMB_BIT)
        found = f"called by {caller}" if caller is not None else None
    return f" ({found})" if found is not None else ""


def _causes(fault: Fault) -> str:
    """What CFSR's bits mean; nothing on a device whose status is another one."""
    if not fault.kind.startswith(("memory", "bus", "usage")) or not (fault.registers or fault.hard_status):
        return ""
    causes = [text for bit, text in CFSR_CAUSES.items() if fault.detail >> bit & 1]
    return f" ({', '.join(causes)})" if causes else ""
