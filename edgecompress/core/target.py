"""A target profile: one TOML file that says what the device is and how it is built for and reached."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edgecompress.core import shipped, toml_file
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import FileValue, Scalar

Arithmetic = Literal["float", "half"]


class Region(FileValue):
    """One memory region, in bytes."""

    origin: int = Field(ge=0)
    length: int = Field(gt=0)

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.origin + self.length

    def overlaps(self, other: Region) -> bool:
        """True when the regions share a byte."""
        return self.origin < other.end and other.origin < self.end

    def before(self, *others: Region) -> Region:
        """The part of the region that lies before the first of others; all of it when they lie elsewhere."""
        end = min([self.end, *(other.origin for other in others if self.overlaps(other))])
        return Region(origin=self.origin, length=end - self.origin)


class Memory(FileValue):
    """Where code and constants, and where data, arena and stack lie."""

    flash: Region
    ram: Region


class Budget(FileValue):
    """A smaller limit than the memory regions, for a board that shares them."""

    flash_bytes: int | None = Field(default=None, gt=0)
    ram_bytes: int | None = Field(default=None, gt=0)


class Toolchain(FileValue):
    """A GNU compiler by its prefix (`arm-none-eabi-`, or empty for the host's own) and the flags of the CPU.

    `zig_target` (`aarch64-linux-musl`) and `zig_flags` say the same to `zig cc`, for when the GNU compiler is missing.
    """

    prefix: str = ""
    cpu_flags: tuple[str, ...] = ()
    zig_target: str | None = None
    zig_flags: tuple[str, ...] = ()


CHANNEL_MULTIPLES = {"dsp": 4, "mve": 4, "neon": 8, "dotprod": 8, "avx2": 8, "avx512": 16}
"""Feature -> channels that its kernels compute side by side."""


class Caches(FileValue):
    """Data caches in bytes: the first level of one core, the second and third as a core sees them."""

    l1_data_bytes: int = Field(gt=0)
    l2_bytes: int | None = Field(default=None, gt=0)
    l3_bytes: int | None = Field(default=None, gt=0)


class Emulator(FileValue):
    """How an outside emulator stands in for the board. Its figures are instruction counts, never time.

    `kept_memory` is the memory that can lie in a file, so that it outlives the emulator: the machine's main memory.
    """

    program: str
    machine: str
    instructions_per_tick: float = Field(gt=0)
    kept_memory: Region | None = None


LEAST_SECTOR_BYTES = 256
"""A slot's header lies in one sector, and so do its marks (docs/slots.md)."""


class Slots(FileValue):
    """Where networks are installed over the wire: two slots of flash, and the RAM that the one in use may write.

    `sector_bytes` are erased at once, `write_bytes` are written at once.
    """

    a: Region
    b: Region
    ram: Region
    sector_bytes: int = Field(ge=LEAST_SECTOR_BYTES, multiple_of=32)
    write_bytes: Literal[1, 2, 4, 8, 16, 32]

    @model_validator(mode="after")
    def _check_sectors(self) -> Self:
        for name, slot in (("a", self.a), ("b", self.b)):
            if slot.origin % self.sector_bytes or slot.length % self.sector_bytes:
                raise ValueError(f"slot {name} does not begin and end at a sector of {self.sector_bytes:,} bytes")
        if self.a.length != self.b.length or self.a.length < 2 * self.sector_bytes:
            raise ValueError("the slots must be of one length, at least two sectors")
        if self.a.overlaps(self.b):
            raise ValueError("the slots overlap")
        return self


UsbId = Annotated[str, Field(pattern="^[0-9a-f]{4}:[0-9a-f]{4}$")]
"""Vendor and product as `lsusb` prints them: `0483:374b`."""


class Usb(FileValue):
    """How the board, or the debug probe on it, shows itself on USB: another chip may show the same."""

    ids: tuple[UsbId, ...] = ()


class Chip(FileValue):
    """By what a chip is told from others of the same core: the word at `id_address`, masked, is one of `id_values`.

    The address is one that a debug port can read: STM32's DBGMCU_IDCODE (its manual's "Debug MCU" section), nRF's
    FICR INFO.PART. Where there is none, as under an emulator, the core's own CPUID must do.
    """

    family: str
    id_address: int | None = Field(default=None, ge=0, multiple_of=4)
    id_mask: int = Field(default=0xFFFF_FFFF, gt=0, le=0xFFFF_FFFF)
    id_values: tuple[int, ...] = ()


class Target(FileValue):
    """A device: what it computes with, what memory it has, how it is built for and reached.

    A Linux system also says its `machine` (what `uname -m` prints), cores, caches, RAM, and by which `meters`
    (modules of measure/meters/) its power may be read. `exact_float` keeps float networks within 1e-5 of ONNX Runtime:
    no Winograd convolutions, with which they are within 1e-3. `pin` keeps each thread on a core of its own. `baud` is
    the rate of the serial line that the firmware speaks on. `boot_bytes` lie before the vector table in flash: the
    RP2040's second boot stage. `tests_emulate` is true where tests run the firmware in an emulator of no link.

    `flasher` (a module of deploy/flashers/) writes its firmware when none is asked for; `probe` holds, by flasher, what
    that must be told: `[probe.openocd] config = "board/st_nucleo_l4.cfg"`. `chip` is what it must find there.
    """

    name: str
    description: str
    system: Literal["bare", "linux"]
    cpu: str
    features: tuple[str, ...] = ()
    clock_hz: int | None = Field(default=None, gt=0)
    port: str
    link: str
    memory: Memory | None = None
    budget: Budget = Budget()
    machine: str | None = None
    cores: int | None = Field(default=None, gt=0)
    caches: Caches | None = None
    ram_bytes: int | None = Field(default=None, gt=0)
    pin: bool = False
    meters: tuple[str, ...] = ()
    exact_float: bool = False
    arithmetic: Arithmetic = "float"
    toolchain: Toolchain
    emulator: Emulator | None = None
    slots: Slots | None = None
    baud: int = Field(default=115_200, gt=0)
    usb: Usb = Usb()
    boot_bytes: int = Field(default=0, ge=0)
    tests_emulate: bool = False
    flasher: str | None = None
    probe: dict[str, dict[str, Scalar]] = {}
    chip: Chip | None = None

    @model_validator(mode="after")
    def _multiplies_halves(self) -> Self:
        if self.arithmetic == "half" and not self.has_half:
            raise ValueError("arithmetic = 'half' needs the feature 'fp16' and the machine 'aarch64'")
        if self.arithmetic == "half" and self.exact_float:
            raise ValueError("exact_float asks for 1e-5, which arithmetic = 'half' cannot keep")
        return self

    @property
    def has_half(self) -> bool:
        """True where cores multiply vectors of halves."""
        return self.system == "linux" and self.machine == "aarch64" and {"neon", "fp16"}.issubset(self.features)

    def computing_in(self, arithmetic: Arithmetic | None) -> Target:
        """The same device with the arithmetic asked for, if any; ConfigError when its cores have none such."""
        if arithmetic is None:
            return self
        if arithmetic == "half" and not self.has_half:
            able = [name for name in names() if load(name).has_half]
            raise ConfigError(
                f"{self.name} ({self.cpu}) has no arithmetic in half precision",
                hint=f"leave out --arithmetic half, or choose a target with the feature fp16: {', '.join(able)}",
            )
        if arithmetic == "half" and self.exact_float:
            raise ConfigError(
                f"{self.name} says exact_float = true, which asks for 1e-5; half precision keeps 1e-3",
                hint="leave out --arithmetic half, or exact_float in the target profile",
            )
        return self.model_copy(update={"arithmetic": arithmetic})

    @property
    def channel_multiple(self) -> int:
        """What channel counts should be a multiple of, so that the target's kernels leave no lanes empty."""
        return max((CHANNEL_MULTIPLES.get(feature, 1) for feature in self.features), default=1)

    @property
    def flash_limit_bytes(self) -> int | None:
        """The flash that a firmware may fill, or None when it is not limited."""
        return self.budget.flash_bytes or (self.memory.flash.length if self.memory else None)

    @property
    def ram_limit_bytes(self) -> int | None:
        """The RAM that data, arena and stack may fill, or None when it is not limited."""
        return self.budget.ram_bytes or (self.memory.ram.length if self.memory else self.ram_bytes)

    @property
    def tried(self) -> str:
        """How far the profile was tried before it was shipped: an emulator stood in for the board if there is one."""
        if self.system == "linux":
            return "emulated" if self.link == "ssh" else "run"
        return "emulated" if self.emulator is not None or self.tests_emulate else "built, not run"

    def with_slots(self) -> Target:
        """The same device as a firmware with slots sees it: its flash and RAM end where those of the slots begin.

        Raises ConfigError when the profile has no slots.
        """
        if self.slots is None or self.memory is None:
            raise ConfigError(
                f"the target {self.name} has no slots",
                hint="its profile needs a [slots] table: regions a, b and ram, sector_bytes, write_bytes",
            )
        for what, whole, parts in (
            ("flash", self.memory.flash, (self.slots.a, self.slots.b)),
            ("RAM", self.memory.ram, (self.slots.ram,)),
        ):
            self._refuse_slots_that_leave_nothing(what, whole, parts)
        flash = self.memory.flash.before(self.slots.a, self.slots.b)
        return self.model_copy(update={"memory": Memory(flash=flash, ram=self.memory.ram.before(self.slots.ram))})

    def _refuse_slots_that_leave_nothing(self, what: str, whole: Region, parts: tuple[Region, ...]) -> None:
        """Raise ConfigError when the slots take the memory's beginning, or pass its end."""
        for part in parts:
            if part.overlaps(whole) and not whole.origin < part.origin < part.end <= whole.end:
                raise ConfigError(
                    f"{self.name}: [slots] takes {part.origin:#010x} to {part.end - 1:#010x} of the {what}, which is "
                    f"{whole.origin:#010x} to {whole.end - 1:#010x}",
                    hint=f"the firmware begins where the {what} begins: slots lie behind it, and end within",
                )


def folder() -> Path:
    """The folder of the shipped profiles."""
    return shipped.folder("targets")


def names() -> tuple[str, ...]:
    """The names of the shipped profiles, sorted."""
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


def load(name_or_path: str) -> Target:
    """Load a shipped profile by name, or a profile of the user's own by its path (ending in .toml).

    Raises ConfigError when there is no such profile or it is wrong.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        return toml_file.load(path, Target, what="target profile", extra={"name": path.stem})
    if name_or_path not in names():
        near = difflib.get_close_matches(name_or_path, names(), n=1)
        suggestion = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"no target is called {name_or_path!r}",
            hint=f"{suggestion}known: {', '.join(names())}; or give the path of a .toml file",
        )
    return toml_file.load(
        folder() / f"{name_or_path}.toml", Target, what="target profile", extra={"name": name_or_path}
    )
