"""Bundles around the network that tests/runtime/toy_network.c writes by hand: no compiler stage is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgecompress.compile.link import BARE_FLAGS, LINUX_FLAGS, LINUX_LINK_FLAGS
from edgecompress.core import tools
from edgecompress.core.bundle import Arena, Bundle, Layer, Manifest, Sizes, Vectors
from edgecompress.core.target import Target
from edgecompress.core.values import Array, TensorSpec

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "device_runtime"
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")
BUILD_ID = bytes([0xA5, *range(1, 16)]).hex()
VECTORS = 8
WIDTH = 16


class ToyRuntime:
    """The runtime and the ports, compiled once for each target and flags into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._done: dict[tuple[str, ...], list[Path]] = {}

    def build(
        self,
        target: Target,
        folder: Path,
        flags: Sequence[str] = (),
        defines: Mapping[str, int] | None = None,
        network: str = "toy_network",
    ) -> Bundle:
        """Build the toy network: `defines` are those of toy_network.c, `flags` the runtime's.

        The manifest describes no other `network` of tests/runtime: its program is spoken to by a bare Session.
        """
        (folder / "vectors").mkdir(parents=True)
        words = [f'-DTOY_TARGET="{target.name}"', *(f"-D{name}={value}u" for name, value in (defines or {}).items())]
        sources = [ROOT / "tests" / "runtime" / f"{network}.c", *self._objects(target, flags)]
        link = [*_link_flags(target, folder), "-o", folder / "program"]
        tools.run([*_compiler(target), *words, *sources, *link], timeout_s=60)
        inputs = np.random.default_rng(0).integers(-128, 128, (VECTORS, WIDTH)).astype(np.int8)
        np.save(folder / "vectors" / "inputs_0.npy", inputs)
        np.save(folder / "vectors" / "outputs_0.npy", toy_outputs(inputs))
        return Bundle(folder=folder, manifest=_manifest(target))

    def _objects(self, target: Target, flags: Sequence[str]) -> list[Path]:
        key = (target.name, *flags)
        if key not in self._done:
            folder = self._folder / str(len(self._done))
            folder.mkdir()
            sources = [RUNTIME / name for name in _port_files(target) if name.endswith(".c")]
            sources += sorted((RUNTIME / "src").glob("*.c"))
            tools.run([*_compiler(target), *flags, "-c", *sources], timeout_s=60, folder=folder)
            self._done[key] = sorted(folder.glob("*.o"))
        return self._done[key]


def toy_outputs(inputs: Array) -> Array:
    """What toy_network.c computes, by NumPy."""
    positive = np.minimum(np.abs(inputs.astype(np.int32)), 127)
    sums: Array = np.clip(positive.reshape(len(inputs), 4, -1).sum(axis=2), -128, 127).astype(np.int8)
    return sums


def _port_files(target: Target) -> list[str]:
    return (RUNTIME / "ports" / target.port / "files.txt").read_text().split()


def _compiler(target: Target) -> list[str | Path]:
    includes = [f"-I{RUNTIME / part}" for part in ("include", "src", f"ports/{target.port}")]
    flags = [*target.toolchain.cpu_flags, *(LINUX_FLAGS if target.system == "linux" else BARE_FLAGS)]
    return [f"{target.toolchain.prefix}gcc", "-std=c11", "-Os", *WARNINGS, *flags, *includes]


def _link_flags(target: Target, folder: Path) -> list[str | Path]:
    if target.memory is None:
        return ["-Wl,--gc-sections", *LINUX_LINK_FLAGS]
    regions = {"FLASH (rx)": target.memory.flash, "RAM (rwx)": target.memory.ram}
    lines = [f"{name} : ORIGIN = {r.origin:#x}, LENGTH = {r.length}" for name, r in regions.items()]
    (folder / "memory.ld").write_text("MEMORY {\n" + "\n".join(lines) + "\n}\n")
    scripts = [RUNTIME / name for name in _port_files(target) if name.endswith(".ld")]
    return ["-nostartfiles", "-Wl,--gc-sections", "-L", folder, "-T", *scripts]


def _manifest(target: Target) -> Manifest:
    zeros = {name: 0 for name in Sizes.model_fields if name != "sections"}
    return Manifest(
        name="toy",
        build_id=BUILD_ID,
        target=target.name,
        port=target.port,
        inputs=(TensorSpec(name="signal", shape=(1, WIDTH), dtype="int8", scale=1 / 16, zero_point=-3),),
        outputs=(TensorSpec(name="sums", shape=(1, 4), dtype="int8"),),
        steps=(),
        model_sha256="",
        layers=(_layer(0, "absolute", "abs"), _layer(1, "sum_quarters", "sum")),
        arena=Arena(bytes=2 * WIDTH + 4, bound=2 * WIDTH + 4, peak_layer=1, placements=()),
        sizes=Sizes(sections={}, **zeros),
        vectors=Vectors(count=VECTORS, origin="seeded", seed=0),
        program="program",
        files={},
        tools={},
    )


def _layer(index: int, name: str, op: str) -> Layer:
    return Layer(
        index=index,
        name=name,
        op=op,
        kernel="toy",
        onnx_nodes=(),
        macs=0,
        weight_bytes=0,
        code_bytes=0,
        output_shape=(),
    )
