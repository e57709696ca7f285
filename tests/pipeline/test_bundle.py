"""From a small program, made by hand, to bundles that run; and what happens when something is missing or full."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import linking
import numpy as np
import pytest
from tvm.script import tirx as T  # noqa: N812

from edgecompress.compile import assemble, emit_c, emit_network, emit_weights, link, lowering, vectors
from edgecompress.compile.program import Call, Program, Tensor
from edgecompress.core import bundle as bundle_files
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError, DoesNotFitError, MissingToolError, StorageError, ToolFailedError
from edgecompress.core.files import sha256
from edgecompress.core.target import Budget, Target
from edgecompress.core.values import Array, Samples, TensorSpec

ORIGIN = assemble.Origin(model_sha256="0" * 64)
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")
CORES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")


@T.prim_func(s_tir=True, private=True)
def affine(x: T.Buffer((64,), "int8"), factors: T.Buffer((64,), "int32"), out: T.Buffer((64,), "int8"), plus: T.int32):
    for i in range(64):
        with T.sblock("out"):
            v = T.axis.spatial(64, i)
            out[v] = T.Cast("int8", T.shift_right(T.Cast("int32", x[v]) * factors[v], 7) + plus)


@T.prim_func(s_tir=True, private=True)
def turn_and_scale(x: T.Buffer((64,), "int8"), out: T.Buffer((64,), "float32")):
    wide = T.sblock_alloc_buffer((64,), "int32")
    for i in range(64):
        with T.sblock("wide"):
            v = T.axis.spatial(64, i)
            wide[v] = T.Cast("int32", x[63 - v]) * (v + 1)
    for i in range(64):
        with T.sblock("out"):
            v = T.axis.spatial(64, i)
            out[v] = T.Cast("float32", wide[v] + wide[0]) * T.float32(0.0123456789)


@pytest.fixture(scope="module")
def program() -> Program:
    return Program(
        name="small",
        inputs=(TensorSpec(name="x", shape=(1, 64), dtype="int8", scale=0.5, zero_point=0),),
        outputs=(TensorSpec(name="y", shape=(1, 64), dtype="float32"),),
        tensors={"middle": Tensor(name="middle", shape=(1, 64), dtype="int8")},
        constants={"factors": np.arange(60, 124, dtype=np.int32)},
        calls=(
            Call(name="affine", op="dense", kernel="affine", arguments=("x", "factors"), output="middle", scalars=(3,)),
            Call(name="turn", op="reverse", kernel="turn_and_scale", arguments=("middle",), output="y"),
        ),
        kernels={"affine": affine, "turn_and_scale": turn_and_scale},
    )


def expected(x: Array) -> Array:
    middle = (((x.astype(np.int32) * np.arange(60, 124)) >> 7) + 3).astype(np.int8).astype(np.int32)
    wide = middle[:, ::-1] * np.arange(1, 65)
    return (wide + wide[:, :1]).astype(np.float32) * np.float32(0.0123456789)


@pytest.mark.parametrize("name", ["host", "mps2-an386"])
def test_a_program_becomes_a_bundle_whose_reference_computes_it(program: Program, name: str, tmp_path: Path) -> None:
    bundle = assemble.write_bundle(program, ORIGIN, targets.load(name), tmp_path / "out")

    inputs, outputs = bundle.vectors()
    assert outputs["y"].tobytes() == expected(inputs["x"]).tobytes()
    assert bundle.run_on_host(inputs)["y"].tobytes() == outputs["y"].tobytes()
    assert bundle.program.is_file()
    assert bundle_files.load(tmp_path / "out").manifest == bundle.manifest


def test_the_manifest_lists_every_file_by_its_hash(program: Program, tmp_path: Path) -> None:
    bundle = assemble.write_bundle(program, ORIGIN, targets.load("mps2-an386"), tmp_path / "out")

    found = {str(p.relative_to(bundle.folder)) for p in bundle.folder.rglob("*") if p.is_file()}
    assert found == {*bundle.manifest.files, "manifest.json"}
    assert all(sha256(bundle.folder / name) == value for name, value in bundle.manifest.files.items())
    assert bundle.manifest.program == "firmware.elf"


def test_sizes_are_what_the_network_adds_to_the_runtime(program: Program, tmp_path: Path) -> None:
    manifest = assemble.write_bundle(program, ORIGIN, targets.load("mps2-an386"), tmp_path / "out").manifest

    assert manifest.sizes.static_ram_bytes == manifest.arena.bytes
    assert manifest.sizes.weights_bytes == 64 * 4
    assert manifest.sizes.weights_bytes + manifest.sizes.code_bytes <= manifest.sizes.flash_bytes
    assert sum(layer.weight_bytes for layer in manifest.layers) == manifest.sizes.weights_bytes
    assert all(layer.code_bytes > 0 for layer in manifest.layers)


def test_the_same_program_gives_the_same_bundle_in_another_folder(program: Program, tmp_path: Path) -> None:
    target = targets.load("mps2-an386")

    one = assemble.write_bundle(program, ORIGIN, target, tmp_path / "one")
    other = assemble.write_bundle(program, ORIGIN, target, tmp_path / "quite" / "another")

    assert one.manifest == other.manifest


def test_another_target_gives_another_build_id(program: Program, tmp_path: Path) -> None:
    target = targets.load("host")
    renamed = target.model_copy(update={"name": "host2"})

    one = assemble.write_bundle(program, ORIGIN, target, tmp_path / "one")
    other = assemble.write_bundle(program, ORIGIN, renamed, tmp_path / "other")

    assert one.manifest.build_id != other.manifest.build_id


def test_samples_become_the_test_vectors(program: Program, tmp_path: Path) -> None:
    samples = Samples(inputs={"x": np.arange(12 * 64).reshape(12, 64).astype(np.int8)})

    bundle = assemble.write_bundle(program, ORIGIN, targets.load("host"), tmp_path / "out", samples=samples)

    assert bundle.manifest.vectors.model_dump() == {"count": 8, "origin": "data", "seed": None}
    assert np.array_equal(bundle.vectors()[0]["x"], samples.inputs["x"][:8])


@pytest.fixture
def sources(program: Program, tmp_path: Path) -> Path:
    """A folder with the generated C and the runtime, not compiled."""
    lowered = lowering.lower_and_plan(program)
    texts = emit_c.model_sources(program, lowered.kernels, lowered.arena)
    texts |= emit_weights.weights_sources(program)
    texts["network.c"] = emit_network.network_source(program, "board", bytes(16))
    (tmp_path / "src").mkdir()
    for name, text in texts.items():
        (tmp_path / "src" / name).write_text(text)
    link.copy_runtime(link.find_runtime(link.REFERENCE_PORT), tmp_path)
    return tmp_path


@pytest.mark.parametrize("core", CORES)
def test_generated_c_has_no_warnings_on_any_core(sources: Path, core: str) -> None:
    for name in ("model.c", "weights.c", "network.c"):
        words = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-std=c11", "-O2", *WARNINGS]
        done = subprocess.run(
            [*words, "-I", "runtime/include", "-c", f"src/{name}", "-o", "out.o"],
            cwd=sources,
            capture_output=True,
            text=True,
        )
        assert done.stderr == ""
        assert done.returncode == 0


def test_the_reference_is_clean_under_the_sanitizers(program: Program, sources: Path) -> None:
    linking.reference(sources, link.NETWORK, Path("reference"), sanitize=True)
    inputs = vectors.seeded_inputs(program.inputs)

    outputs = bundle_files.run_host_program(sources / "reference", program.inputs, program.outputs, inputs)

    assert outputs["y"].tobytes() == expected(inputs["x"]).tobytes()


def test_the_reference_refuses_a_sample_that_is_cut_short(sources: Path) -> None:
    linking.reference(sources, link.NETWORK, Path("reference"))

    done = subprocess.run([sources / "reference"], input=bytes(100), capture_output=True)

    assert (done.returncode, done.stderr) == (1, b"the last sample is cut short\n")
    assert len(done.stdout) == 64 * 4


def test_a_target_that_is_too_small_is_refused_before_anything_is_built(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    target = targets.load("mps2-an386").model_copy(update={"name": "tiny", "budget": Budget(ram_bytes=1024)})

    with pytest.raises(DoesNotFitError, match=r"^small needs [\d,]+ bytes of RAM; tiny has 1,024$"):
        assemble.write_bundle(program, ORIGIN, target, tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_a_missing_compiler_is_named_with_its_package(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(MissingToolError, match=r"^arm-none-eabi-gcc is not installed or not on PATH$") as caught:
        assemble.write_bundle(program, ORIGIN, targets.load("mps2-an386"), tmp_path / "out")

    assert caught.value.hint == ("on Debian or Ubuntu: sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_port_is_refused(program: Program, tmp_path: Path) -> None:
    target = targets.load("host").model_copy(update={"port": "toaster"})

    with pytest.raises(ConfigError, match=r"^device_runtime has no port 'toaster'$"):
        assemble.write_bundle(program, ORIGIN, target, tmp_path / "out")


def test_a_compiler_that_fails_leaves_nothing_behind(program: Program, tmp_path: Path) -> None:
    target = targets.load("host")
    broken = target.model_copy(update={"toolchain": target.toolchain.model_copy(update={"cpu_flags": ("-mno-such",)})})

    with pytest.raises(ToolFailedError, match="-mno-such"):
        assemble.write_bundle(program, ORIGIN, broken, tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of a few kilobytes, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={request.param}k", "none", place]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("small_disk", [16, 100, 240], indirect=True)
def test_a_full_disk_leaves_nothing_behind(program: Program, small_disk: Path) -> None:
    message = rf"^cannot write {small_disk}/out: {os.strerror(errno.ENOSPC)}$"

    with pytest.raises(StorageError, match=message) as caught:
        assemble.write_bundle(program, ORIGIN, targets.load("mps2-an386"), small_disk / "out")

    assert caught.value.hint == "free some space or choose another folder with -o"
    assert list(small_disk.iterdir()) == []


def test_a_file_size_limit_leaves_nothing_behind(program: Program, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        with pytest.raises(StorageError, match=rf"^cannot write {tmp_path}/out: {os.strerror(errno.EFBIG)}$"):
            assemble.write_bundle(program, ORIGIN, targets.load("host"), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_is_replaced_whole(program: Program, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("{}")
    (tmp_path / "out" / "stale").write_text("old")

    bundle = assemble.write_bundle(program, ORIGIN, targets.load("host"), tmp_path / "out")

    assert not (tmp_path / "out" / "stale").exists()
    assert bundle_files.load(tmp_path / "out").manifest == bundle.manifest
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_every_port_has_all_the_files_that_it_lists() -> None:
    ports = [path.parent.name for path in (link.runtime_folder() / "ports").glob("*/files.txt")]

    listed = itertools.chain.from_iterable(link.find_runtime(port).files for port in ports)

    assert [name for name in listed if not (link.runtime_folder() / name).is_file()] == []


def test_every_shipped_target_names_a_port(program: Program) -> None:
    loaded: list[Target] = [targets.load(name) for name in targets.names()]

    assert all(link.find_runtime(target.port).sources for target in loaded)
