"""Build C into programs: the device's firmware or process, the same with an empty network, and the host reference.

All compiler calls run inside the bundle's folder with relative paths, so that the same sources give the same bytes
wherever the folder lies. The bundle carries the runtime's sources that it was built from (runtime/).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompress.compile.objects import Objects, Variant
from edgecompress.core import shipped, tools
from edgecompress.core.compilers import Compiler
from edgecompress.core.errors import ConfigError
from edgecompress.core.target import Memory, Target

REFERENCE_PORT = "reference"
LIBRARY_PORT = "library"
HOST_COMPILER = "gcc"
RUNTIME = Path("runtime")
SOURCES = Path("src")
SLOT_SCRIPT = "ports/cortex_m/slot.ld"
SLOT_ENTRY = "ports/cortex_m/slot_entry.c"

COMMON_FLAGS = (
    "-std=c11",
    "-pipe",  # no temporary files outside the bundle's folder
    "-ffp-contract=off",  # no fused multiply-add: the same float bytes on every core
    "-fno-strict-aliasing",  # kernels look at int8 tensors as words
    "-fno-math-errno",
    "-ffunction-sections",
    "-fdata-sections",
)
NETWORK_FLAGS = ("-O3",)
SMALL_NETWORK_FLAGS = ("-O2",)
"""For mode size. With -Os generic kernels are larger and take twice the instructions (gcc 12, kws on Cortex-M3)."""
RUNTIME_FLAGS = ("-Os",)
BARE_FLAGS = ("-g",)
BARE_LINK_FLAGS = ("-nostartfiles", "--specs=nano.specs")
REFERENCE_NETWORK_FLAGS = ("-O1",)
"""Half of the time that -O2 takes to compile; a sample runs as fast. No flag changes a byte of what it computes."""
LINUX_FLAGS = (
    "-g0",  # the names stay: a debugger and a profiler find the layers, and the upload is small
    "-fPIC",  # one set of objects for the program and the libraries
    "-fvisibility=hidden",
    "-fno-stack-protector",  # its failure would be reported through a C library
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-trapping-math",  # nobody looks at exception flags: choices between floats can be made by vectors
)
GNU_LINUX_FLAGS = (
    # Vector kernels are written in the order in which registers suffice; gcc 12 would move their loads ahead and then
    # spill sums. zig's clang knows no such flags.
    "-fno-schedule-insns",
    "-fno-gcse",
    "-fno-move-loop-invariants",
)
LINUX_LINK_FLAGS = (
    "-static",
    "-nostdlib",  # ports/linux needs none: nothing of the program depends on what the device has
    "-Wl,--build-id=none",
    "-Wl,-z,noexecstack",
    "-Wl,-z,norelro",  # nothing is relocated at the start; a page of its own for that would be empty
)

SANITIZER_FLAGS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What of device_runtime a port is built from: paths relative to its folder."""

    folder: Path
    port: str
    sources: tuple[str, ...]
    headers: tuple[str, ...]
    linker_script: str | None
    slot_files: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that takes part, sorted."""
        script = () if self.linker_script is None else (self.linker_script,)
        return tuple(sorted({*self.sources, *self.headers, *script, *self.slot_files}))


@dataclass(frozen=True, kw_only=True)
class Network:
    """The generated sources of one network: paths relative to the bundle's folder, what takes longest to compile first.

    `small` saves flash.
    """

    sources: tuple[str, ...]
    small: bool = False


NETWORK = Network(sources=tuple(str(SOURCES / name) for name in ("model.c", "weights.c", "network.c")))
LINUX_NETWORK = Network(sources=tuple(str(SOURCES / name) for name in ("model.c", "weights.s", "network.c")))
LINUX_REFERENCE = Network(sources=tuple(str(SOURCES / name) for name in ("model.c", "room.s", "network.c")))


def network_of(target: Target) -> Network:
    """The generated sources for a target: weights as C, or as bytes where they may be too many for a C compiler."""
    return LINUX_NETWORK if target.system == "linux" else NETWORK


def reference_of(target: Target) -> Network:
    """The generated sources of the host program. Weights that are bytes are read when it starts: once in a bundle."""
    return LINUX_REFERENCE if target.system == "linux" else NETWORK


def runtime_folder() -> Path:
    """The folder of the runtime's sources."""
    return shipped.folder("device_runtime")


def find_runtime(port: str, *, slots: bool = False) -> Runtime:
    """List the runtime's files for a port, with slots or without.

    Raises ConfigError when there is no such port, or it has no flash driver for slots.
    """
    folder = runtime_folder()
    listing = folder / "ports" / port / "files.txt"
    if not listing.is_file():
        known = sorted(path.parent.name for path in (folder / "ports").glob("*/files.txt"))
        raise ConfigError(f"device_runtime has no port {port!r}", hint=f"known ports: {', '.join(known)}")
    listed = [*listing.read_text().split(), *(_slot_sources(folder, port) if slots else ())]
    shared = (
        [] if port in (REFERENCE_PORT, LIBRARY_PORT) else [f"src/{path.name}" for path in (folder / "src").glob("*.c")]
    )
    sources = sorted({*shared, *(name for name in listed if not name.endswith(".ld"))})
    folders = sorted({"include", "src", f"ports/{port}", *(str(Path(name).parent) for name in sources)})
    headers = [str(path.relative_to(folder)) for name in folders for path in sorted((folder / name).glob("*.h"))]
    return Runtime(
        folder=folder,
        port=port,
        sources=tuple(sources),
        headers=tuple(headers),
        linker_script=next((name for name in listed if name.endswith(".ld")), None),
        slot_files=(SLOT_SCRIPT, SLOT_ENTRY) if slots else (),
    )


def _slot_sources(folder: Path, port: str) -> list[str]:
    """What a firmware with slots is built from besides: the slots themselves and the port's flash driver."""
    listing = folder / "ports" / port / "slots.txt"
    if not listing.is_file():
        raise ConfigError(
            f"device_runtime's port {port!r} has no flash driver for slots",
            hint=f"ports/{port}/slots.txt must name one; device_runtime/README.md says what it brings",
        )
    shared = sorted(f"src/slots/{path.name}" for path in (folder / "src" / "slots").glob("*.c"))
    return [*shared, *listing.read_text().split()]


def copy_runtime(runtime: Runtime, bundle_folder: Path) -> None:
    """Copy the runtime's files into the bundle, so that it can be built again from what it holds."""
    for name in runtime.files:
        copy = bundle_folder / RUNTIME / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(runtime.folder / name, copy)


def network_flags(*, small: bool) -> tuple[str, ...]:
    """How much the compiler does to a network for a device."""
    return SMALL_NETWORK_FLAGS if small else NETWORK_FLAGS


def device_flags(target: Target, compiler: Compiler, *, small: bool = False) -> tuple[str, ...]:
    """Every flag that decides what the device's program holds, the CPU's first."""
    system, network = _system_flags(target, compiler), network_flags(small=small)
    return (*compiler.cpu_flags, *COMMON_FLAGS, *system, *network, *RUNTIME_FLAGS)


def device_variant(target: Target, compiler: Compiler) -> Variant:
    """How a target's objects are made. One set serves the program, the one with an empty network, and the libraries."""
    return Variant(name="device", command=(*compiler.command, *_system_flags(target, compiler)))


def reference_variant(flags: Sequence[str] = (), *, sanitize: bool = False) -> Variant:
    """How the objects of the host reference are made; with sanitizers when asked for."""
    if sanitize:
        return Variant(name="sanitized", command=(HOST_COMPILER, "-g", *flags, *SANITIZER_FLAGS))
    return Variant(name="reference", command=(HOST_COMPILER, *flags))


def start_runtime(objects: Objects, variant: Variant, runtime: Runtime) -> list[str]:
    """Begin to compile the runtime's sources, which must lie in the bundle; return the objects' paths."""
    folders = ("include", "src", f"ports/{runtime.port}")
    flags = (*COMMON_FLAGS, *RUNTIME_FLAGS, *(f"-I{RUNTIME}/{folder}" for folder in folders))
    return [objects.start(variant, str(RUNTIME / source), flags) for source in runtime.sources]


def start_network(objects: Objects, variant: Variant, network: Network) -> list[str]:
    """Begin to compile a network's sources; return the objects' paths."""
    optimization = REFERENCE_NETWORK_FLAGS if variant.name != "device" else network_flags(small=network.small)
    flags = (*COMMON_FLAGS, *optimization, f"-I{RUNTIME}/include", f"-I{RUNTIME}/src", "-Isrc")
    return [objects.start(variant, source, flags) for source in network.sources]


def build_device_program(
    objects: Objects,
    network: Network,
    target: Target,
    compiler: Compiler,
    runtime: Runtime,
    output: Path,
    slots: str | None = None,
) -> None:
    """Compile a network with the runtime for the target and link it into `output`.

    `slots` is the source that describes the slots of a firmware that has some.
    """
    variant = device_variant(target, compiler)
    paths = [*start_network(objects, variant, network), *start_runtime(objects, variant, runtime)]
    if slots is not None:
        paths += start_network(objects, variant, Network(sources=(slots,)))
    link_flags = ["-Wl,--gc-sections", *(LINUX_LINK_FLAGS if target.system == "linux" else ())]
    if runtime.linker_script is not None and target.memory is not None:
        (objects.folder / RUNTIME / "memory.ld").write_text(memory_script(target.memory))
        script = RUNTIME / runtime.linker_script
        link_flags += [*BARE_LINK_FLAGS, "-L", str(RUNTIME), "-T", str(script)]
    objects.wait(paths)
    objects.run([*variant.command, *paths, *link_flags, "-o", str(output)])


def build_slot_payload(
    objects: Objects, network: Network, target: Target, compiler: Compiler, memory: Memory, output: Path
) -> None:
    """Compile a network alone, with the entry of a slot image, and link it for `memory` into `output`."""
    variant = device_variant(target, compiler)
    flags = (*COMMON_FLAGS, *RUNTIME_FLAGS, f"-I{RUNTIME}/include")
    entry = objects.start(variant, str(RUNTIME / SLOT_ENTRY), flags)
    paths = [*start_network(objects, variant, network), entry]
    regions = RUNTIME / output.stem
    (objects.folder / regions).mkdir(exist_ok=True)
    (objects.folder / regions / "memory.ld").write_text(memory_script(memory))
    objects.wait(paths)
    link_flags = ["-Wl,--gc-sections", *BARE_LINK_FLAGS, "-L", str(regions), "-T", str(RUNTIME / SLOT_SCRIPT)]
    objects.run([*variant.command, *paths, *link_flags, "-o", str(output)])


def reference_flags(target: Target) -> tuple[str, ...]:
    """What makes the host reference fast and changes none of its bytes: this machine's own fused multiply-add.

    Without the instruction the kernels of a target with `fma` call fmaf, which computes the same, slowly.
    """
    has = _x86_features()
    if "fma" not in target.features or not {"fma", "avx2"} <= has:
        return ()
    return ("-mfma", "-mavx2", *(_half_flags(has) if target.arithmetic == "half" else ()))


def _half_flags(has: frozenset[str]) -> tuple[str, ...]:
    """What multiplies halves here; without any they are computed as doubles, slowly."""
    if {"avx512_fp16", "avx512vl", "f16c"} <= has:
        return ("-mf16c", "-mavx512fp16", "-mavx512vl")
    return ("-mf16c",) if "f16c" in has else ()


def _system_flags(target: Target, compiler: Compiler) -> tuple[str, ...]:
    if target.system == "bare":
        return BARE_FLAGS
    return (*LINUX_FLAGS, *GNU_LINUX_FLAGS) if compiler.kind == "gnu" else LINUX_FLAGS


def _x86_features() -> frozenset[str]:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    return next((frozenset(line.split()) for line in text.splitlines() if line.startswith("flags")), frozenset())


def build_reference(objects: Objects, network: Network, output: Path, variant: Variant) -> None:
    """Compile a network for this machine with a main that reads samples on stdin, and link it into `output`."""
    runtime = find_runtime(REFERENCE_PORT)
    paths = [*start_network(objects, variant, network), *start_runtime(objects, variant, runtime)]
    (objects.folder / output).parent.mkdir(parents=True, exist_ok=True)
    objects.wait(paths)
    objects.run([*variant.command, *paths, "-lm", "-o", str(output)])


def memory_script(memory: Memory) -> str:
    """Print the memory regions as the linker script's MEMORY command."""
    regions = (("FLASH (rx)", memory.flash), ("RAM (rwx) ", memory.ram))
    lines = "".join(f"  {name} : ORIGIN = 0x{at.origin:08x}, LENGTH = {at.length}\n" for name, at in regions)
    return f"MEMORY\n{{\n{lines}}}\n"


def tool_versions(compiler: Compiler) -> dict[str, str]:
    """The first line of what the compilers say about themselves."""
    return {HOST_COMPILER: tools.version(HOST_COMPILER), compiler.name: compiler.version()}
