"""Bundles around the network that tests/runtime/toy_network.c writes by hand: no compiler stage is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecompress.core import target as targets
from edgecompress.core import tools
from edgecompress.core.bundle import Arena, Bundle, Layer, Manifest, Sizes, Vectors
from edgecompress.core.target import Target
from edgecompress.core.values import Array, TensorSpec

ROOT = Path(__file__).resolve().parents[3]
RUNTIME = ROOT / "device_runtime"
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")
BUILD_ID = bytes([0xA5, *range(1, 16)]).hex()
VECTORS = 8

ToyBundle = Callable[..., Bundle]


@pytest.fixture
def toy_bundle(tmp_path: Path) -> ToyBundle:
    """Build the toy network for a target: `defines` are those of toy_network.c."""

    def build(target_name: str, **defines: int) -> Bundle:
        target = targets.load(target_name)
        width = defines.get("TOY_WIDTH", 16)
        folder = tmp_path / f"toy-{len(list(tmp_path.iterdir()))}"
        (folder / "vectors").mkdir(parents=True)
        _compile(target, folder / "program", folder, defines)
        inputs = np.random.default_rng(0).integers(-128, 128, (VECTORS, width)).astype(np.int8)
        np.save(folder / "vectors" / "inputs_0.npy", inputs)
        np.save(folder / "vectors" / "outputs_0.npy", toy_outputs(inputs))
        return Bundle(folder=folder, manifest=_manifest(target, width))

    return build


def toy_outputs(inputs: Array) -> Array:
    """What toy_network.c computes, by NumPy."""
    positive = np.minimum(np.abs(inputs.astype(np.int32)), 127)
    return np.clip(positive.reshape(len(inputs), 4, -1).sum(axis=2), -128, 127).astype(np.int8)


def _compile(target: Target, program: Path, folder: Path, defines: dict[str, int]) -> None:
    files = (RUNTIME / "ports" / target.port / "files.txt").read_text().split()
    sources = [RUNTIME / name for name in files if name.endswith(".c")] + sorted((RUNTIME / "src").glob("*.c"))
    network = [ROOT / "tests" / "runtime" / "toy_network.c", f'-DTOY_TARGET="{target.name}"']
    words = [f"-D{name}={value}u" for name, value in defines.items()]
    includes = [f"-I{RUNTIME / part}" for part in ("include", "src", f"ports/{target.port}")]
    flags = ["-std=c11", "-Os", *WARNINGS, *target.toolchain.cpu_flags]
    link = [*_link_flags(target, files, folder), "-o", program]
    tools.run(
        [f"{target.toolchain.prefix}gcc", *flags, *words, *includes, *sources, *network, *link],
        timeout_s=60,
    )


def _link_flags(target: Target, files: list[str], folder: Path) -> list[str | Path]:
    if target.memory is None:
        return []
    regions = {"FLASH (rx)": target.memory.flash, "RAM (rwx)": target.memory.ram}
    lines = [f"{name} : ORIGIN = {r.origin:#x}, LENGTH = {r.length}" for name, r in regions.items()]
    (folder / "memory.ld").write_text("MEMORY {\n" + "\n".join(lines) + "\n}\n")
    scripts = [RUNTIME / name for name in files if name.endswith(".ld")]
    return ["-nostartfiles", "-Wl,--gc-sections", "-L", folder, "-T", *scripts]


def _manifest(target: Target, width: int) -> Manifest:
    zeros = {name: 0 for name in Sizes.model_fields if name != "sections"}
    shared = {"kernel": "toy", "onnx_nodes": (), "macs": 0, "weight_bytes": 0, "code_bytes": 0, "output_shape": ()}
    return Manifest(
        name="toy",
        build_id=BUILD_ID,
        target=target.name,
        port=target.port,
        inputs=(TensorSpec(name="signal", shape=(1, width), dtype="int8", scale=1 / 16, zero_point=-3),),
        outputs=(TensorSpec(name="sums", shape=(1, 4), dtype="int8"),),
        steps=(),
        model_sha256="",
        layers=(
            Layer(index=0, name="absolute", op="abs", **shared),
            Layer(index=1, name="sum_quarters", op="sum", **shared),
        ),
        arena=Arena(bytes=2 * width + 4, bound=2 * width + 4, peak_layer=1, placements=()),
        sizes=Sizes(sections={}, **zeros),
        vectors=Vectors(count=VECTORS, origin="seeded", seed=0),
        program="program",
        files={},
        tools={},
    )
