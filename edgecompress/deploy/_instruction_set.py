"""What an ELF file's code needs of a core, as its compiler noted it, and what each core has.

Sources: Addenda to, and Errata in, the ABI for the Arm Architecture, "Build attributes" (the tags and their values);
the cores' Technical Reference Manuals (CPUID).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgecompress.core.errors import ConfigError, WrongDeviceError

ARCHITECTURES = {
    1: "armv4",
    2: "armv4t",
    3: "armv5t",
    4: "armv5te",
    5: "armv5tej",
    6: "armv6",
    7: "armv6kz",
    8: "armv6t2",
    9: "armv6k",
    10: "armv7",
    11: "armv6-m",
    12: "armv6-m",
    13: "armv7e-m",
    14: "armv8-a",
    15: "armv8-r",
    16: "armv8-m.base",
    17: "armv8-m.main",
    21: "armv8.1-m.main",
    22: "armv9-a",
}
"""Tag_CPU_arch. 11 is v6-M, 12 v6S-M: the same but for SVC. 10 is that of every profile; v7-M says so beside it."""

FLOATS = {1: "vfpv1", 2: "vfpv2", 3: "vfpv3", 4: "vfpv3", 5: "vfpv4", 6: "vfpv4", 7: "fpv5", 8: "fpv5"}
"""Tag_FP_arch, sets of 16 and 32 registers alike."""

MICROCONTROLLER = ord("M")
SINGLE_ONLY = 1

Float = Literal["vfpv1", "vfpv2", "vfpv3", "vfpv4", "fpv5"]


@dataclass(frozen=True, kw_only=True)
class Core:
    """A Cortex-M core: its part number in CPUID, its architecture, and the floating point that it can have."""

    part: int
    architecture: str
    floats: str | None = None


CORES = {
    "cortex-m0": Core(part=0xC20, architecture="armv6-m"),
    "cortex-m1": Core(part=0xC21, architecture="armv6-m"),
    "cortex-m0plus": Core(part=0xC60, architecture="armv6-m"),
    "cortex-m3": Core(part=0xC23, architecture="armv7-m"),
    "cortex-m4": Core(part=0xC24, architecture="armv7e-m", floats="vfpv4"),
    "cortex-m7": Core(part=0xC27, architecture="armv7e-m", floats="fpv5"),
    "cortex-m23": Core(part=0xD20, architecture="armv8-m.base"),
    "cortex-m33": Core(part=0xD21, architecture="armv8-m.main", floats="fpv5"),
    "cortex-m55": Core(part=0xD22, architecture="armv8.1-m.main", floats="fpv5"),
    "cortex-m85": Core(part=0xD23, architecture="armv8.1-m.main", floats="fpv5"),
}
"""CPUID bits 15:4, PARTNO, by the names that GCC takes for -mcpu."""


@dataclass(frozen=True, kw_only=True)
class InstructionSet:
    """What code needs: architecture, floating point, its double precision, the DSP extension, vectors (MVE).

    `hard_float` says that functions pass floats in registers of the floating-point unit. `dsp` is that of Armv8-M,
    where it is an extension; Armv7E-M always has it.
    """

    architecture: str
    floats: str | None = None
    double_floats: bool = False
    hard_float: bool = False
    dsp: bool = False
    mve: Literal["integer", "float"] | None = None

    @property
    def words(self) -> str:
        """The needs in words."""
        floats = f"{self.floats}{' with doubles' if self.double_floats else ''}" if self.floats else "no floating point"
        abi = ", floats in registers" if self.hard_float else ""
        dsp = ", DSP" if self.dsp else ""
        mve = f", MVE ({self.mve})" if self.mve else ""
        return f"{self.architecture}, {floats}{abi}{dsp}{mve}"


def read(elf: Path) -> InstructionSet:
    """Read what a firmware's code needs.

    Raises WrongDeviceError when it is for no 32-bit Arm core, ConfigError when the file is damaged or says nothing.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with elf.open("rb") as file:
            parsed = ELFFile(file)
            if parsed["e_machine"] != "EM_ARM" or parsed.elfclass != 32 or not parsed.little_endian:
                machine = str(parsed["e_machine"]).removeprefix("EM_").lower()
                raise WrongDeviceError(f"{elf} is a program for {machine}, not for a Cortex-M")
            attributes = _attributes(parsed)
    except (ELFError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{elf} is no firmware: {error}", hint="compile again") from error
    if "CPU_ARCH" not in attributes:
        raise ConfigError(f"{elf} does not say what core its code is for", hint="compile again: build attributes")
    return _needs(attributes)


def _attributes(parsed: Any) -> dict[str, Any]:
    section = parsed.get_section_by_name(".ARM.attributes")
    if section is None:
        return {}
    return {
        attribute.tag.removeprefix("TAG_"): attribute.value
        for vendor in section.iter_subsections(vendor_name="aeabi")
        for scope in vendor.iter_subsubsections()
        for attribute in scope.iter_attributes()
    }


def _needs(attributes: dict[str, Any]) -> InstructionSet:
    number = attributes["CPU_ARCH"]
    architecture = ARCHITECTURES.get(number, f"architecture {number}")
    if architecture == "armv7" and attributes.get("CPU_ARCH_PROFILE") == MICROCONTROLLER:
        architecture = "armv7-m"
    floats = FLOATS.get(attributes.get("FP_ARCH", 0))
    mve = attributes.get("MVE_ARCH", 0)
    return InstructionSet(
        architecture=architecture,
        floats=floats,
        double_floats=floats is not None and attributes.get("ABI_HARDFP_USE", 0) != SINGLE_ONLY,
        hard_float=attributes.get("ABI_VFP_ARGS", 0) == 1,
        dsp=attributes.get("DSP_EXTENSION", 0) == 1,
        mve="float" if mve == 2 else "integer" if mve == 1 else None,
    )
