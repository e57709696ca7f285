"""Build C into programs: the device's firmware or process, the same with an empty network, and the host reference.

All compiler calls run inside the bundle's folder with relative paths, so that the same sources give the same bytes
wherever the folder lies. The bundle carries the runtime's sources that it was built from (runtime/).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecompress.core import shipped, tools
from edgecompress.core.compilers import Compiler
from edgecompress.core.errors import ConfigError, ToolFailedError
from edgecompress.core.target import Memory, Target

COMPILE_TIMEOUT_S = 600.0
REFERENCE_PORT = "reference"
LIBRARY_PORT = "library"
HOST_COMPILER = "gcc"
RUNTIME = Path("runtime")
OBJECTS = Path("objects")

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
REFERENCE_FLAGS = ("-g",)
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

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that takes part, sorted."""
        script = () if self.linker_script is None else (self.linker_script,)
        return tuple(sorted({*self.sources, *self.headers, *script}))


@dataclass(frozen=True, kw_only=True)
class Network:
    """The generated sources of one network: paths relative to the bundle's folder. `small` saves flash."""

    sources: tuple[str, ...]
    small: bool = False


def runtime_folder() -> Path:
    """The folder of the runtime's sources."""
    return shipped.folder("device_runtime")


def find_runtime(port: str) -> Runtime:
    """List the runtime's files for a port. Raises ConfigError when there is no such port."""
    folder = runtime_folder()
    listing = folder / "ports" / port / "files.txt"
    if not listing.is_file():
        known = sorted(path.parent.name for path in (folder / "ports").glob("*/files.txt"))
        raise ConfigError(f"device_runtime has no port {port!r}", hint=f"known ports: {', '.join(known)}")
    listed = listing.read_text().split()
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
    )


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


def build_device_program(
    bundle_folder: Path, network: Network, target: Target, compiler: Compiler, runtime: Runtime, output: Path
) -> None:
    """Compile a network with the runtime for the target and link it into `output`."""
    words = [*compiler.command, *_system_flags(target, compiler)]
    objects = compile_for_device(bundle_folder, network, target, compiler, runtime)
    link_flags = ["-Wl,--gc-sections", *(LINUX_LINK_FLAGS if target.system == "linux" else ())]
    if runtime.linker_script is not None and target.memory is not None:
        (bundle_folder / RUNTIME / "memory.ld").write_text(memory_script(target.memory))
        script = RUNTIME / runtime.linker_script
        link_flags += ["-nostartfiles", "--specs=nano.specs", "-L", str(RUNTIME), "-T", str(script)]
    run_tool(bundle_folder, [*words, *objects, *link_flags, "-o", str(output)])


def compile_for_device(
    bundle_folder: Path, network: Network, target: Target, compiler: Compiler, runtime: Runtime
) -> list[str]:
    """Compile what was not compiled before, and return all objects: paths relative to the bundle's folder."""
    words = [*compiler.command, *_system_flags(target, compiler)]
    flags = network_flags(small=network.small)
    return _compile_all(bundle_folder, network, runtime, words, variant="device", optimization_of_network=flags)


def reference_flags(target: Target) -> tuple[str, ...]:
    """What makes the host reference fast and changes none of its bytes: this machine's own fused multiply-add.

    Without the instruction the kernels of a target with `fma` call fmaf, which computes the same, slowly.
    """
    return ("-mfma", "-mavx2") if "fma" in target.features and {"fma", "avx2"} <= _x86_features() else ()


def _system_flags(target: Target, compiler: Compiler) -> tuple[str, ...]:
    if target.system == "bare":
        return BARE_FLAGS
    return (*LINUX_FLAGS, *GNU_LINUX_FLAGS) if compiler.kind == "gnu" else LINUX_FLAGS


def _x86_features() -> frozenset[str]:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    return next((frozenset(line.split()) for line in text.splitlines() if line.startswith("flags")), frozenset())


def build_reference(
    bundle_folder: Path, network: Network, output: Path, *, flags: Sequence[str] = (), sanitize: bool = False
) -> None:
    """Compile a network for this machine with a main that reads samples on stdin; with sanitizers when asked for."""
    extra = SANITIZER_FLAGS if sanitize else ()
    runtime = find_runtime(REFERENCE_PORT)
    words = [HOST_COMPILER, *REFERENCE_FLAGS, *flags, *extra]
    variant = "sanitized" if sanitize else "reference"
    objects = _compile_all(bundle_folder, network, runtime, words, variant=variant, optimization_of_network=("-O2",))
    output_path = bundle_folder / output
    output_path.parent.mkdir(parents=True, exist_ok=True)
    run_tool(bundle_folder, [*words, *objects, "-lm", "-o", str(output)])


def memory_script(memory: Memory) -> str:
    """Print the memory regions as the linker script's MEMORY command."""
    regions = (("FLASH (rx)", memory.flash), ("RAM (rwx) ", memory.ram))
    lines = "".join(f"  {name} : ORIGIN = 0x{at.origin:08x}, LENGTH = {at.length}\n" for name, at in regions)
    return f"MEMORY\n{{\n{lines}}}\n"


def tool_versions(compiler: Compiler) -> dict[str, str]:
    """The first line of what the compilers say about themselves."""
    return {HOST_COMPILER: tools.version(HOST_COMPILER), compiler.name: compiler.version()}


def _compile_all(
    bundle_folder: Path,
    network: Network,
    runtime: Runtime,
    words: Sequence[str],
    *,
    variant: str,
    optimization_of_network: Sequence[str],
) -> list[str]:
    """Compile the network and the runtime into objects/VARIANT and return the objects' paths; what is there is kept."""
    includes = ["-I", f"{RUNTIME}/include", "-I", f"{RUNTIME}/src", "-I", f"{RUNTIME}/ports/{runtime.port}"]
    includes += ["-I", "src"]
    jobs = [(source, optimization_of_network) for source in network.sources]
    jobs += [(str(RUNTIME / source), RUNTIME_FLAGS) for source in runtime.sources]
    objects = []
    for source, optimization in jobs:
        target_object = OBJECTS / variant / f"{Path(source).with_suffix('').as_posix().replace('/', '_')}.o"
        objects.append(str(target_object))
        if (bundle_folder / target_object).exists():
            continue
        (bundle_folder / target_object).parent.mkdir(parents=True, exist_ok=True)
        flags = [*COMMON_FLAGS, f"-ffile-prefix-map={bundle_folder.resolve()}=.", *optimization, *includes]
        extra = flags if source.endswith(".c") else []
        run_tool(bundle_folder, [*words, *extra, "-c", source, "-o", str(target_object)])
    return objects


def run_tool(bundle_folder: Path, words: list[str]) -> None:
    """Run a compiler in the bundle's folder. A disk that it filled is an OSError, as when Python fills it."""
    try:
        tools.run(words, timeout_s=COMPILE_TIMEOUT_S, folder=bundle_folder)
    except ToolFailedError as error:
        if os.strerror(errno.ENOSPC) in error.message:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
