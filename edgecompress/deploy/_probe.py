"""Look at a Linux board before anything is uploaded to it, and refuse one that cannot run the program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from edgecompress.core import linux, target
from edgecompress.core.board import Board
from edgecompress.core.errors import DoesNotFitError, StorageError, WrongDeviceError
from edgecompress.core.target import Target

TIMEOUT_S = 10.0

ARM_PARTS = {
    "0xb76": "arm1176jzf-s",
    "0xc05": "cortex-a5",
    "0xc07": "cortex-a7",
    "0xc08": "cortex-a8",
    "0xc09": "cortex-a9",
    "0xc0f": "cortex-a15",
    "0xd01": "cortex-a32",
    "0xd03": "cortex-a53",
    "0xd04": "cortex-a35",
    "0xd05": "cortex-a55",
    "0xd07": "cortex-a57",
    "0xd08": "cortex-a72",
    "0xd09": "cortex-a73",
    "0xd0a": "cortex-a75",
    "0xd0b": "cortex-a76",
    "0xd0c": "neoverse-n1",
    "0xd40": "neoverse-v1",
    "0xd41": "cortex-a78",
    "0xd49": "neoverse-n2",
}
"""The part numbers of MIDR_EL1 (each core's technical reference manual) for Arm's own cores, implementer 0x41."""

RUNS_ON = {
    "aarch64": {"aarch64"},
    "armv7l": {"armv7l", "armv8l"},
    "armv6l": {"armv6l", "armv7l", "armv8l"},
}
"""Which kernels run a program of that machine. A static 64-bit program needs no 64-bit user space."""

LOADERS = {"ld-musl-": "musl", "ld-linux": "glibc"}
"""The C library that a dynamic loader in /lib or /lib64 belongs to."""

SAME_WORDS = {
    "neon": ({"asimd"}, {"neon"}),
    "fma": ({"asimd"}, {"vfpv4"}, {"fma"}),
    "dotprod": ({"asimddp"},),
    "i8mm": ({"i8mm"},),
    "fp16": ({"fphp", "asimdhp"},),
    "avx2": ({"avx2"},),
    "avx512": ({"avx512f", "avx512bw", "avx512dq", "avx512vl"},),
    "vnni": ({"avx512_vnni"}, {"avx_vnni"}),
    "amx": ({"amx_tile", "amx_int8"},),
}
"""A target's feature as the kernel's /proc/cpuinfo tells it: one of these sets is there in whole."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a board is. None where it did not tell; sizes in bytes, the clock in kHz.

    `machine` is the kernel's (`uname -m`), `user_bits` the word size of the programs installed there: 32 under a 64-bit
    kernel on many a Raspberry Pi. `features` are the kernel's words. `free_disk_bytes` is that of the folder to deploy
    to, `available_ram_bytes` what programs can have without swapping.
    """

    machine: str | None
    user_bits: int | None
    kernel: str | None
    model: str | None
    cpu: str | None
    features: frozenset[str] | None
    cores: int | None
    libc: str | None
    governors: tuple[str, ...]
    lowest_khz: int | None
    highest_khz: int | None
    ram_bytes: int | None
    available_ram_bytes: int | None
    folder: str
    free_disk_bytes: int | None

    @property
    def name(self) -> str:
        """The board in a few words, for an error."""
        bits = f", {self.user_bits}-bit programs" if self.user_bits else ""
        return f"{self.model or self.cpu or 'the board'} ({self.machine or 'unknown machine'}{bits})"


def probe(board: Board, folder: str | PurePosixPath) -> Facts:
    """Read what the board is. A file or program that it lacks leaves a None; a lost connection is UnreachableError."""
    processors = linux.processors(board)
    clocks = linux.clocks(board)
    memory = linux.memory(board)
    return Facts(
        machine=_told_by(board, "uname", "-m"),
        user_bits=_user_bits(board),
        kernel=linux.text(board, "/proc/sys/kernel/osrelease"),
        model=linux.model(board),
        cpu=_cpu(processors),
        features=processors.features,
        cores=processors.count or None,
        libc=_libc(board),
        governors=tuple(sorted({each.governor for each in clocks if each.governor})),
        lowest_khz=min((each.lowest_khz for each in clocks if each.lowest_khz), default=None),
        highest_khz=max((each.highest_khz for each in clocks if each.highest_khz), default=None),
        ram_bytes=memory.get("MemTotal"),
        available_ram_bytes=memory.get("MemAvailable", memory.get("MemFree")),
        folder=str(folder),
        free_disk_bytes=_free_disk(board, PurePosixPath(folder)),
    )


def refuse_wrong_board(facts: Facts, wanted: Target, program_bytes: int, *, ram_bytes: int | None = None) -> None:
    """Raise when the board cannot run a program compiled for `wanted`; what it did not tell is not held against it.

    `ram_bytes` is what the program takes when it runs, its own size unless given. Raises WrongDeviceError for another
    machine or a missing vector feature, StorageError for too small a disk, DoesNotFitError for too little memory.
    """
    _refuse_machine(facts, wanted)
    _refuse_features(facts, wanted)
    _refuse_disk(facts, program_bytes)
    _refuse_memory(facts, ram_bytes or program_bytes)


def fitting_targets(facts: Facts) -> tuple[str, ...]:
    """Name the shipped targets that suit the board best: its own core first, then the most features that it has."""
    fitting = [each for each in map(target.load, target.names()) if each.machine and _runs(facts, each)]
    if not fitting:
        return ()
    best = max(_suits(facts, each) for each in fitting)
    return tuple(each.name for each in fitting if _suits(facts, each) == best)


def _refuse_machine(facts: Facts, wanted: Target) -> None:
    if wanted.machine is None or facts.machine is None or _runs_machine(facts, wanted.machine):
        return
    raise WrongDeviceError(
        f"{facts.name} does not run programs for {wanted.machine}, which {wanted.name} is compiled for",
        hint=_suggestion(facts),
    )


def _refuse_features(facts: Facts, wanted: Target) -> None:
    missing = _missing_features(facts, wanted)
    if not missing:
        return
    words = " or ".join("+".join(sorted(words)) for words in SAME_WORDS[missing[0]])
    raise WrongDeviceError(
        f"{facts.name} lacks {', '.join(missing)}, which {wanted.name} is compiled for: its program would stop there "
        f"with an illegal instruction (/proc/cpuinfo does not list {words})",
        hint=_suggestion(facts),
    )


def _refuse_disk(facts: Facts, need: int) -> None:
    if facts.free_disk_bytes is None or need <= facts.free_disk_bytes:
        return
    raise StorageError(
        f"the program takes {need:,} bytes; {facts.folder} on {facts.name} has {facts.free_disk_bytes:,} free",
        hint="free some space there, or deploy to another folder",
    )


def _refuse_memory(facts: Facts, need: int) -> None:
    if facts.available_ram_bytes is None or need <= facts.available_ram_bytes:
        return
    raise DoesNotFitError(
        f"the program takes {need:,} bytes of memory; {facts.name} has {facts.available_ram_bytes:,} available",
        hint="end other programs on the board, or compile a smaller network",
    )


def _suggestion(facts: Facts) -> str:
    names = fitting_targets(facts)
    if not names:
        return "no shipped target fits this board: write a profile of its own, or use another board"
    return f"for this board, compile for {' or '.join(names)}"


def _runs(facts: Facts, wanted: Target) -> bool:
    return wanted.machine is not None and _runs_machine(facts, wanted.machine) and not _missing_features(facts, wanted)


def _runs_machine(facts: Facts, machine: str) -> bool:
    if facts.machine in RUNS_ON.get(machine, {machine}):
        return True
    # A 64-bit kernel under a 32-bit user space runs 32-bit Arm programs: all of its programs are such.
    return facts.machine == "aarch64" and facts.user_bits == 32 and machine.startswith("armv")


def _missing_features(facts: Facts, wanted: Target) -> tuple[str, ...]:
    listed = facts.features
    if listed is None:
        return ()
    return tuple(
        word for word in wanted.features if word in SAME_WORDS and not any(each <= listed for each in SAME_WORDS[word])
    )


def _suits(facts: Facts, each: Target) -> tuple[bool, bool, bool, int]:
    own_word_size = facts.machine == each.machine
    named = bool(facts.model) and str(facts.model).startswith(each.description.split(" (")[0].split(":")[0])
    return own_word_size, each.cpu == facts.cpu, named, len(each.features)


def _cpu(processors: linux.Processors) -> str | None:
    if processors.part is None:
        return processors.model_name
    if processors.implementer == "0x41" and processors.part in ARM_PARTS:
        return ARM_PARTS[processors.part]
    return f"implementer {processors.implementer} part {processors.part}"


def _user_bits(board: Board) -> int | None:
    told = _told_by(board, "getconf", "LONG_BIT")
    if told in {"32", "64"}:
        return int(told)
    return {1: 32, 2: 64}.get(_elf_class(board.read("/bin/sh")))


def _elf_class(program: bytes | None) -> int:
    """The byte EI_CLASS of an ELF file (System V ABI, chapter 4): 1 for 32 bits, 2 for 64."""
    return program[4] if program is not None and program[:4] == b"\x7fELF" and len(program) > 4 else 0


def _libc(board: Board) -> str | None:
    told = _told_by(board, "getconf", "GNU_LIBC_VERSION")
    if told:
        return told
    loaders = (*board.names("/lib"), *board.names("/lib64"))
    known = (libc for prefix, libc in LOADERS.items() if any(name.startswith(prefix) for name in loaders))
    return next(known, None)


def _free_disk(board: Board, folder: PurePosixPath) -> int | None:
    """The free bytes of the folder's file system, or of its nearest parent's that exists."""
    for place in (folder, *folder.parents):
        path = str(place) if place.is_absolute() else f"./{place}"
        told = _told_by(board, "df", "-P", "-k", path)
        found = re.search(r"\s\d+\s+\d+\s+(-?\d{1,20})\s+(?:\d+%|-)\s", told or "")
        if found:
            return max(0, int(found.group(1))) * linux.KIB
    return None


def _told_by(board: Board, *words: str) -> str | None:
    """What a program prints; None when there is no such program, or it fails."""
    told = board.run(words, timeout_s=TIMEOUT_S)
    if told is None or told.exit_code != 0:
        return None
    return told.stdout.decode("utf-8", "replace").strip() or None
