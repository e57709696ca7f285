"""Static executables for Linux devices, run by qemu-user as that device's core: they compute the host's bytes."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import compilers
from edgecompress.core import target as targets
from edgecompress.core.board import Board
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import ByteStream, Device
from edgecompress.core.values import Progress
from edgecompress.deploy._child import Child

EXAMPLES = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
CORES = {
    "rpi4": ("qemu-aarch64", "cortex-a72", "EM_AARCH64"),
    "rpi2": ("qemu-arm", "cortex-a7", "EM_ARM"),
    "rpi-zero": ("qemu-arm", "arm1176", "EM_ARM"),
    "x86-64": ("qemu-x86_64", "Nehalem", "EM_X86_64"),
}
MOST_BESIDE_WEIGHTS = 120_000
"""What an executable of ResNet8 may take beside its weights."""

Built = Callable[[str, str], Bundle]


class QemuUserLink:
    """Runs a program on an emulated core of its own, without a board around it."""

    emulated = True
    instructions_per_tick = None
    board: Board | None = None

    def __init__(self, program: str, core: str) -> None:
        self.description = f"{core} (emulated by {program})"
        found = shutil.which(program) or shutil.which(f"{program}-static")
        if found is None:
            pytest.skip(f"{program} is not installed")
        self._words = [found, "-cpu", core]
        self._child: Child | None = None

    def start(self, bundle: Bundle, progress: Progress) -> ByteStream:
        self._child = Child([*self._words, bundle.program.resolve()], name="the program", stdout_is_stream=True)
        return self._child

    def accept(self) -> None:
        pass

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


def device_of(name: str) -> Device:
    program, core, _ = CORES[name]
    return Device(QemuUserLink(program, core), targets.load(name))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    def build(network: str, name: str) -> Bundle:
        model = models.load(EXAMPLES / f"{network}.onnx")
        return compiler.build(model, targets.load(name), tmp_path_factory.mktemp(name) / "bundle")

    return build


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("network", ["ic_resnet8_int8", "ic_resnet8_fp32"])
def test_one_static_executable_computes_the_host_s_bytes(network: str, name: str, built: Built) -> None:
    bundle = built(network, name)

    with device_of(name) as device:
        device.install(bundle)  # compares every test vector, byte for byte
        inputs, outputs = bundle.vectors()
        last = device.run({key: values[-1] for key, values in inputs.items()}, repeat=2)
        assert last.outputs.keys() == outputs.keys()
        assert all(np.array_equal(last.outputs[key], values[-1]) for key, values in outputs.items())
        device.use_threads(3)
        threaded = device.run({key: values[0] for key, values in inputs.items()})
        assert all(threaded.outputs[key].tobytes() == values[0].tobytes() for key, values in outputs.items())

    with bundle.program.open("rb") as file:
        elf = ELFFile(file)
        assert elf["e_type"] == "ET_EXEC"
        assert elf["e_machine"] == CORES[name][2]
        assert elf.get_section_by_name(".interp") is None
        assert elf.get_section_by_name(".dynamic") is None
    assert bundle.program.stat().st_size <= bundle.manifest.sizes.weights_bytes + MOST_BESIDE_WEIGHTS


@pytest.mark.parametrize(
    ("network", "name"), [("kws_dscnn_fp32", "rpi4"), ("kws_dscnn_int8", "rpi-zero"), ("kws_dscnn_int8", "x86-64")]
)
def test_zig_builds_programs_that_compute_the_same(
    network: str, name: str, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compilers.has_zig():
        pytest.skip("ziglang is not installed")
    monkeypatch.setattr(compilers, "choose", lambda target: compilers.zig(target.toolchain))
    bundle = built(network, name)
    assert bundle.manifest.tools.keys() == {"edgecompress", "tvm", "gcc", "zig"}
    assert bundle.manifest.sizes.weights_bytes > 0
    assert (bundle.folder / "lib" / "libmodel.so").is_file()

    with device_of(name) as device:
        device.install(bundle)


def test_the_same_network_gives_the_same_bundle_in_another_folder(built: Built) -> None:
    one, other = built("kws_dscnn_int8", "rpi-zero"), built("kws_dscnn_int8", "rpi-zero")

    assert one.folder != other.folder
    assert one.manifest == other.manifest


@pytest.mark.skipif(platform.machine() != "x86_64", reason="its own memory is asked of a process that is not emulated")
def test_a_process_tells_its_memory(compiled: Callable[..., object]) -> None:
    bundle: Bundle = compiled("kws_dscnn").bundle  # type: ignore[attr-defined]
    from edgecompress.deploy import local

    with local.connect(targets.load("host")) as device:
        device.install(bundle)
        stats = device.read_stats()
        stack_asked_again = device.read_stats().stack_bytes
    static_bytes = bundle.manifest.sizes.firmware_static_ram_bytes + bundle.manifest.sizes.firmware_flash_bytes
    assert stats.arena_bytes == bundle.manifest.arena.bytes
    assert stats.stack_bytes is not None
    assert 0 < stats.stack_bytes < 32_768
    assert stack_asked_again == stats.stack_bytes
    assert stats.resident_bytes is not None
    assert stats.proportional_bytes is not None
    # The kernel counts VmHWM by batches of pages: proc(5) calls it inaccurate.
    assert bundle.manifest.arena.bytes < stats.resident_bytes <= static_bytes + (1 << 20)
    assert bundle.manifest.arena.bytes < stats.proportional_bytes <= static_bytes + (1 << 20)
