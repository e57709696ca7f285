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
from edgecompress.core.errors import ConfigError, ToolFailedError
from edgecompress.core.target import Memory, Target

COMPILE_TIMEOUT_S = 600.0
REFERENCE_PORT = "reference"
RUNTIME = Path("runtime")
OBJECTS = Path("objects")

COMMON_FLAGS = (
    "-std=c11",
    "-g",
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
    shared = [] if port == REFERENCE_PORT else [f"src/{path.name}" for path in (folder / "src").glob("*.c")]
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


def compiler(prefix: str) -> str:
    """The name of the compiler of a toolchain prefix; an empty prefix is the host's own."""
    return f"{prefix}gcc"


def network_flags(*, small: bool) -> tuple[str, ...]:
    """How much the compiler does to a network for a device."""
    return SMALL_NETWORK_FLAGS if small else NETWORK_FLAGS


def device_flags(target: Target, *, small: bool = False) -> tuple[str, ...]:
    """Every flag that decides what the device's program holds, the CPU's first."""
    return (*target.toolchain.cpu_flags, *COMMON_FLAGS, *network_flags(small=small), *RUNTIME_FLAGS)


def build_device_program(bundle_folder: Path, network: Network, target: Target, runtime: Runtime, output: Path) -> None:
    """Compile a network with the runtime for the target and link it into `output`."""
    words = [compiler(target.toolchain.prefix), *target.toolchain.cpu_flags]
    flags = network_flags(small=network.small)
    objects = _compile_all(bundle_folder, network, runtime, words, optimization_of_network=flags)
    link_flags = ["-Wl,--gc-sections"]
    if runtime.linker_script is not None and target.memory is not None:
        (bundle_folder / RUNTIME / "memory.ld").write_text(memory_script(target.memory))
        script = RUNTIME / runtime.linker_script
        link_flags += ["-nostartfiles", "--specs=nano.specs", "-L", str(RUNTIME), "-T", str(script)]
    _run(bundle_folder, [*words, *objects, *link_flags, "-o", str(output)])


def build_reference(bundle_folder: Path, network: Network, output: Path, *, sanitize: bool = False) -> None:
    """Compile a network for this machine with a main that reads samples on stdin; with sanitizers when asked for."""
    extra = SANITIZER_FLAGS if sanitize else ()
    runtime = find_runtime(REFERENCE_PORT)
    words = [compiler(""), *extra]
    objects = _compile_all(bundle_folder, network, runtime, words, optimization_of_network=("-O2",))
    output_path = bundle_folder / output
    output_path.parent.mkdir(parents=True, exist_ok=True)
    _run(bundle_folder, [*words, *objects, "-o", str(output)])


def memory_script(memory: Memory) -> str:
    """Print the memory regions as the linker script's MEMORY command."""
    regions = (("FLASH (rx)", memory.flash), ("RAM (rwx) ", memory.ram))
    lines = "".join(f"  {name} : ORIGIN = 0x{at.origin:08x}, LENGTH = {at.length}\n" for name, at in regions)
    return f"MEMORY\n{{\n{lines}}}\n"


def tool_versions(target: Target) -> dict[str, str]:
    """The first line of what the compilers say about themselves."""
    names = {compiler(""), compiler(target.toolchain.prefix)}
    return {name: tools.version(name) for name in sorted(names)}


def _compile_all(
    bundle_folder: Path,
    network: Network,
    runtime: Runtime,
    words: Sequence[str],
    *,
    optimization_of_network: Sequence[str],
) -> list[str]:
    """Compile the network and the runtime into objects/ and return the objects' paths; what is there is kept."""
    includes = ["-I", f"{RUNTIME}/include", "-I", f"{RUNTIME}/src", "-I", f"{RUNTIME}/ports/{runtime.port}"]
    includes += ["-I", "src"]
    jobs = [(source, optimization_of_network) for source in network.sources]
    jobs += [(str(RUNTIME / source), RUNTIME_FLAGS) for source in runtime.sources]
    variant = f"{runtime.port}-sanitized" if set(SANITIZER_FLAGS) <= set(words) else runtime.port
    objects = []
    for source, optimization in jobs:
        target_object = OBJECTS / variant / source.replace("/", "_").replace(".c", ".o")
        objects.append(str(target_object))
        if (bundle_folder / target_object).exists():
            continue
        (bundle_folder / target_object).parent.mkdir(parents=True, exist_ok=True)
        flags = [*COMMON_FLAGS, f"-ffile-prefix-map={bundle_folder.resolve()}=.", *optimization, *includes]
        _run(bundle_folder, [*words, *flags, "-c", source, "-o", str(target_object)])
    return objects


def _run(bundle_folder: Path, words: list[str]) -> None:
    """Run a compiler in the bundle's folder. A disk that it filled is an OSError, as when Python fills it."""
    try:
        tools.run(words, timeout_s=COMPILE_TIMEOUT_S, folder=bundle_folder)
    except ToolFailedError as error:
        if os.strerror(errno.ENOSPC) in error.message:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
