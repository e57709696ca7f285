"""Bundles around the network that tests/runtime/toy_network.c writes by hand: no compiler stage is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import ssh_server as ssh_server_module
from ssh_server import SshServer

from edgecompress.compile.link import LINUX_FLAGS, LINUX_LINK_FLAGS
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
WIDTH = 16
PADDING_BYTES = 1_000_000

ToyBundle = Callable[..., Bundle]


@pytest.fixture(scope="session")
def runtime_objects(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], list[Path]]:
    """Compile the runtime and a target's port, once a session."""
    done: dict[str, list[Path]] = {}

    def build(target: Target) -> list[Path]:
        if target.name not in done:
            folder = tmp_path_factory.mktemp(target.name)
            sources = [RUNTIME / name for name in _port_files(target) if name.endswith(".c")]
            sources += sorted((RUNTIME / "src").glob("*.c"))
            tools.run([*_compiler(target), "-c", *sources], timeout_s=60, folder=folder)
            done[target.name] = sorted(folder.glob("*.o"))
        return done[target.name]

    return build


@pytest.fixture
def toy_bundle(tmp_path: Path, runtime_objects: Callable[[Target], list[Path]]) -> ToyBundle:
    """Build the toy network for a target: `defines` are those of toy_network.c."""

    def build(target_name: str, **defines: int) -> Bundle:
        target = targets.load(target_name)
        folder = tmp_path / f"toy-{len(list(tmp_path.iterdir()))}"
        (folder / "vectors").mkdir(parents=True)
        words = [f'-DTOY_TARGET="{target.name}"', *(f"-D{name}={value}u" for name, value in defines.items())]
        network = [ROOT / "tests" / "runtime" / "toy_network.c", *runtime_objects(target)]
        link = [*_link_flags(target, folder), "-o", folder / "program"]
        tools.run([*_compiler(target), *words, *network, *link], timeout_s=60)
        inputs = np.random.default_rng(0).integers(-128, 128, (VECTORS, WIDTH)).astype(np.int8)
        np.save(folder / "vectors" / "inputs_0.npy", inputs)
        np.save(folder / "vectors" / "outputs_0.npy", toy_outputs(inputs))
        return Bundle(folder=folder, manifest=_manifest(target))

    return build


def toy_outputs(inputs: Array) -> Array:
    """What toy_network.c computes, by NumPy."""
    positive = np.minimum(np.abs(inputs.astype(np.int32)), 127)
    return np.clip(positive.reshape(len(inputs), 4, -1).sum(axis=2), -128, 127).astype(np.int8)


def _port_files(target: Target) -> list[str]:
    return (RUNTIME / "ports" / target.port / "files.txt").read_text().split()


def _compiler(target: Target) -> list[str | Path]:
    includes = [f"-I{RUNTIME / part}" for part in ("include", "src", f"ports/{target.port}")]
    flags = [*target.toolchain.cpu_flags, *(LINUX_FLAGS if target.system == "linux" else ())]
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
    shared = {"kernel": "toy", "onnx_nodes": (), "macs": 0, "weight_bytes": 0, "code_bytes": 0, "output_shape": ()}
    return Manifest(
        name="toy",
        build_id=BUILD_ID,
        target=target.name,
        port=target.port,
        inputs=(TensorSpec(name="signal", shape=(1, WIDTH), dtype="int8", scale=1 / 16, zero_point=-3),),
        outputs=(TensorSpec(name="sums", shape=(1, 4), dtype="int8"),),
        steps=(),
        model_sha256="",
        layers=(
            Layer(index=0, name="absolute", op="abs", **shared),
            Layer(index=1, name="sum_quarters", op="sum", **shared),
        ),
        arena=Arena(bytes=2 * WIDTH + 4, bound=2 * WIDTH + 4, peak_layer=1, placements=()),
        sizes=Sizes(sections={}, **zeros),
        vectors=Vectors(count=VECTORS, origin="seeded", seed=0),
        program="program",
        files={},
        tools={},
    )


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[SshServer]:
    """A running sshd whose key the client knows."""
    if not ssh_server_module.is_installed():
        pytest.skip("no sshd on this machine: openssh-server is not installed")
    server = SshServer(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def two_builds(toy_bundle: ToyBundle) -> tuple[Bundle, Bundle]:
    """The toy network for this machine twice, as two builds of one model; the second one takes several writes."""
    return tuple(_pad(toy_bundle("host", TOY_BUILD_BYTE=byte), byte, seed) for byte, seed in ((0x11, 1), (0x22, 2)))


def _pad(bundle: Bundle, build_byte: int, seed: int) -> Bundle:
    """Put bytes behind the program, which nobody reads, and give the manifest the build id that it answers with."""
    with bundle.program.open("ab") as program:
        program.write(np.random.default_rng(seed).bytes(PADDING_BYTES))
    build_id = bytes([build_byte, *range(1, 16)]).hex()
    manifest = bundle.manifest.model_copy(update={"build_id": build_id})
    (bundle.folder / "manifest.json").write_text(manifest.model_dump_json())
    return Bundle(folder=bundle.folder, manifest=manifest)
