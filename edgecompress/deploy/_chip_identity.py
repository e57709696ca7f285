"""Refuse what does not fit together, before anything is erased: bundle, profile, code and chip."""

from __future__ import annotations

from edgecompress.core.bundle import Manifest
from edgecompress.core.errors import ConfigError, WrongDeviceError
from edgecompress.core.target import Chip, Target
from edgecompress.deploy._instruction_set import CORES, Core, InstructionSet
from edgecompress.deploy.flashers import ChipFacts

NOTHING_WRITTEN = "nothing was written"

# Armv7-M and Armv8-M Architecture Reference Manuals: CPUID, MVFR0, MVFR1.
PART_SHIFT, PART_MASK = 4, 0xFFF
SINGLE_SHIFT = 4
DOUBLE_SHIFT = 8
MVE_SHIFT = 8
FIELD = 0xF
MVE_FLOAT = 2


def check_bundle(manifest: Manifest, target: Target) -> None:
    """Raise WrongDeviceError when the bundle was compiled for another target or port."""
    if target.system != "bare":
        raise WrongDeviceError(
            f"{target.name} is a Linux system: nothing is flashed there", hint="edgecompress deploy brings it there"
        )
    if manifest.target != target.name:
        raise WrongDeviceError(
            f"the bundle was compiled for {manifest.target}, not for {target.name}",
            hint=f"{NOTHING_WRITTEN}; compile for {target.name}, or flash a {manifest.target}",
        )
    if manifest.port != target.port:
        raise WrongDeviceError(
            f"the bundle was built with the port {manifest.port}; {target.name} has {target.port}",
            hint=f"{NOTHING_WRITTEN}; compile again",
        )


def check_code(needs: InstructionSet, target: Target) -> None:
    """Raise WrongDeviceError when the code is not what the profile's core and features are compiled for."""
    core = _core_of(target)
    wrong = _first_wrong(needs, core, target)
    if wrong is not None:
        raise WrongDeviceError(
            f"the firmware's code is for {needs.words}; {target.name} ({target.cpu}) {wrong}",
            hint=f"{NOTHING_WRITTEN}; compile for this target",
        )


def check_chip(facts: ChipFacts, needs: InstructionSet, target: Target) -> None:
    """Raise WrongDeviceError when the chip says that it is another one, or lacks what the code needs."""
    core = _core_of(target)
    _check_machine(facts, target)
    _check_part(facts, core, target)
    _check_extensions(facts, needs, target)
    if target.chip is not None:
        if facts.machine is None or target.emulator is None:
            _check_id_is_there(facts, target.chip)
        _check_family(facts, target.chip)


def core_name(cpuid: int) -> str:
    """Name the core that a CPUID is of: `cortex-m4`, or its part number."""
    part = cpuid >> PART_SHIFT & PART_MASK
    return next((name for name, core in CORES.items() if core.part == part), f"a core with part number {part:#x}")


def _core_of(target: Target) -> Core:
    core = CORES.get(target.cpu)
    if core is None:
        raise ConfigError(
            f"target {target.name}: nothing is known about the core {target.cpu!r}", hint=f"known: {', '.join(CORES)}"
        )
    return core


def _first_wrong(needs: InstructionSet, core: Core, target: Target) -> str | None:
    if needs.architecture != core.architecture:
        return f"is {core.architecture}"
    has_float = "fpu" in target.features
    if needs.floats is not None and not has_float:
        return "has no floating-point unit by its profile"
    if needs.floats is not None and needs.floats != core.floats:
        return f"has {core.floats}"
    if needs.hard_float != has_float:
        return "passes floats in registers" if has_float else "passes floats as integers"
    if needs.dsp and "dsp" not in target.features:
        return "has no DSP extension by its profile"
    return "has no vectors (MVE) by its profile" if needs.mve and "mve" not in target.features else None


def _check_machine(facts: ChipFacts, target: Target) -> None:
    """Compare an emulator's machine with the profile's; a profile that knows no other sign takes no real chip."""
    if target.emulator is None:
        return
    if facts.machine is None and target.chip is None:
        raise WrongDeviceError(
            f"a real chip is connected; by the profile {target.name} only an emulated {target.emulator.machine} can be "
            "told from others",
            hint=f"{NOTHING_WRITTEN}; a profile of your own with a [chip] table says what to find there",
        )
    if facts.machine is not None and facts.machine != target.emulator.machine:
        raise WrongDeviceError(
            f"the emulated machine is {facts.machine}; {target.name} is {target.emulator.machine}",
            hint=f"{NOTHING_WRITTEN}; another machine is emulated there",
        )


def _check_part(facts: ChipFacts, core: Core, target: Target) -> None:
    if facts.cpuid is None:
        return
    if (facts.cpuid >> PART_SHIFT & PART_MASK) != core.part:
        raise WrongDeviceError(
            f"the chip is {core_name(facts.cpuid)} (CPUID {facts.cpuid:#010x}); {target.name} is {target.cpu}",
            hint=f"{NOTHING_WRITTEN}; another board is connected",
        )


def _check_extensions(facts: ChipFacts, needs: InstructionSet, target: Target) -> None:
    lacking = None
    if needs.floats is not None and facts.mvfr0 is not None:
        if not _field(facts.mvfr0, SINGLE_SHIFT):
            lacking = f"floating point ({needs.floats}), which the chip lacks (MVFR0 {facts.mvfr0:#010x})"
        elif needs.double_floats and not _field(facts.mvfr0, DOUBLE_SHIFT):
            lacking = f"double precision, which the chip lacks (MVFR0 {facts.mvfr0:#010x})"
    if lacking is None and needs.mve is not None and facts.mvfr1 is not None:
        has = _field(facts.mvfr1, MVE_SHIFT)
        if has < (MVE_FLOAT if needs.mve == "float" else 1):
            lacking = f"vectors (MVE, {needs.mve}), which the chip lacks (MVFR1 {facts.mvfr1:#010x})"
    if lacking is not None:
        raise WrongDeviceError(
            f"the firmware for {target.name} uses {lacking}", hint=f"{NOTHING_WRITTEN}; another board is connected"
        )


def _check_id_is_there(facts: ChipFacts, chip: Chip) -> None:
    """Refuse a chip that can be read (CPUID was) but has nothing where the profile's has its id."""
    if facts.cpuid is not None and facts.id_word is None and chip.id_address is not None and chip.id_values:
        raise WrongDeviceError(
            f"the chip's id cannot be read: a {chip.family} has it at {chip.id_address:#010x}",
            hint=f"{NOTHING_WRITTEN}; another board is connected",
        )


def _check_family(facts: ChipFacts, chip: Chip) -> None:
    """Compare the vendor's id; a tool that reads no memory at least names the chip."""
    if facts.id_word is not None and chip.id_values:
        found = facts.id_word & chip.id_mask
        if found not in chip.id_values:
            expected = " or ".join(f"{value:#x}" for value in chip.id_values)
            raise WrongDeviceError(
                f"the chip's id at {chip.id_address:#010x} is {found:#x}; a {chip.family} has {expected}",
                hint=f"{NOTHING_WRITTEN}; another board is connected",
            )
    elif facts.cpuid is None and facts.name is not None:
        told, meant = _plain(facts.name), _plain(chip.family)
        if not (told.startswith(meant) or meant.startswith(told)):
            raise WrongDeviceError(
                f"the chip is a {facts.name}, not a {chip.family}",
                hint=f"{NOTHING_WRITTEN}; another board is connected",
            )


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _field(word: int, shift: int) -> int:
    return word >> shift & FIELD
