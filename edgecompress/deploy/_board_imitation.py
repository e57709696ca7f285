"""What qemu-user makes of each profile's core: the core that it emulates, and what Linux says of such a core."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import tools
from edgecompress.core.errors import UsageError
from edgecompress.core.target import Target

MACHINE_BY_KERNEL = {"aarch64": "aarch64", "armv7l": "arm", "armv6l": "arm", "x86_64": "x86_64"}
"""QEMU's name of what `uname -m` prints."""

ARMV8 = "fp asimd evtstrm crc32 cpuid"
ARMV8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
ARMV7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpd32"
X86_64_V2 = "fpu tsc cx8 cmov mmx fxsr sse sse2 syscall nx lm pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm"


@dataclass(frozen=True, kw_only=True)
class Core:
    """A core by QEMU's name; an instruction that it lacks traps, as on the board.

    `features` and `part` are the words of /proc/cpuinfo on a board with such a core (arch/arm64/kernel/cpuinfo.c,
    arch/arm/kernel/setup.c, arch/x86/kernel/cpu/proc.c). On Arm they are a Raspberry Pi's, which leave out the
    cryptographic instructions of its A72 and A53.
    """

    qemu_cpu: str
    features: str
    part: str | None = None


CORES = {
    "armv8.6-a": Core(qemu_cpu="max", features=f"{ARMV8_2} i8mm bf16", part="0xd46"),
    "cortex-a76": Core(qemu_cpu="cortex-a76", features=ARMV8_2, part="0xd0b"),
    "cortex-a72": Core(qemu_cpu="cortex-a72", features=ARMV8, part="0xd08"),
    "cortex-a53": Core(qemu_cpu="cortex-a53", features=ARMV8, part="0xd03"),
    "armv8-a": Core(qemu_cpu="cortex-a53", features=ARMV8, part="0xd03"),
    "cortex-a7": Core(qemu_cpu="cortex-a7", features=f"{ARMV7} vfpv4 idiva idivt lpae evtstrm", part="0xc07"),
    "armv7-a": Core(qemu_cpu="cortex-a9", features=ARMV7, part="0xc09"),
    "arm1176jzf-s": Core(qemu_cpu="arm1176", features="half thumb fastmult vfp edsp java tls", part="0xb76"),
    "x86-64-v2": Core(qemu_cpu="Nehalem", features=X86_64_V2),
    "x86-64-v3": Core(qemu_cpu="Haswell", features=f"{X86_64_V2} fma movbe xsave avx f16c abm bmi1 avx2 bmi2"),
}
"""By a profile's `cpu`. The generic profiles get the least core that they promise to run on."""


def core_of(board: Target) -> Core:
    """Return the core to emulate. Raises UsageError for a profile whose core is not among them."""
    if board.system != "linux" or board.cpu not in CORES or board.machine not in MACHINE_BY_KERNEL:
        raise UsageError(
            f"there is no virtual board for {board.name}, whose core is {board.cpu}",
            hint=f"virtual boards have one of {', '.join(CORES)}",
        )
    return CORES[board.cpu]


def qemu_machine(board: Target) -> str:
    """QEMU's name of the board's machine: `qemu-` and this is the emulator of its programs."""
    return MACHINE_BY_KERNEL[board.machine or ""]


def locate_emulator(board: Target) -> Path:
    """Find Debian's dynamic emulator, or the static one, which takes no plugins. Raises MissingToolError."""
    program = f"qemu-{qemu_machine(board)}"
    found = shutil.which(program) or shutil.which(f"{program}-static")
    return Path(found).absolute() if found is not None else tools.locate(program)


def cpuinfo(board: Target) -> bytes:
    """Write what /proc/cpuinfo would say on the board: one block a core."""
    core = core_of(board)
    return "\n".join(_block(number, core) for number in range(board.cores or 1)).encode()


def _block(number: int, core: Core) -> str:
    if core.part is None:
        lines = {"model name": f"QEMU {core.qemu_cpu}", "flags": core.features}
    else:
        lines = {"Features": core.features, "CPU implementer": "0x41", "CPU part": core.part}
    return "".join(f"{name}\t: {value}\n" for name, value in {"processor": str(number), **lines}.items())
