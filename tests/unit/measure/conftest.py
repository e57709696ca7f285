"""A network that rounds its three inputs to halves, as float and QDQ graph, as host program, and as a device.

The device is a fake with the commands of core.device.Device: it answers what the host program answers, unless a test
gives it another network to compute.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgecompress.core.answers import Stats
from edgecompress.core.board import Board
from edgecompress.core.bundle import Arena, Bundle, Layer, Manifest, OnnxValue, Placement, Sizes, Vectors
from edgecompress.core.device import Run
from edgecompress.core.errors import TransferError
from edgecompress.core.target import Emulator, Target, Toolchain
from edgecompress.core.values import Array, Evidence, Model, Samples, TensorSpec
from edgecompress.measure import _board_state

STEP = 0.5
TICKS_PER_SECOND = 1_000_000
VECTORS = np.array([[0.1, 0.9, 0.4], [2.0, -3.0, 1.1]], np.float32)
SAMPLES = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [0.8, 1.0, 0.0]], np.float32)
LABELS = np.array([0, 1, 2, 0], np.int64)
"""Of the last sample the float network picks class 1; rounded, its first two scores are equal and class 0 wins."""

ROUNDED = "round(v / step)"
REFERENCE = """#!{python}
import struct, sys
step = {step}
def quantize(values):
    return [{quantize} for v in values]
def dequantize(numbers):
    return [q * step for q in numbers]
raw = sys.stdin.buffer.read()
if len(sys.argv) == 1:
    values = struct.unpack("<%df" % (len(raw) // 4), raw)
    sys.stdout.buffer.write(struct.pack("<%df" % len(values), *dequantize(quantize(values))))
for x, q, y in struct.iter_unpack("<12s3sx12s", raw if len(sys.argv) == 3 else b""):
    if sys.argv[2] == "0":
        q = struct.pack("3b", *quantize(struct.unpack("<3f", x)))
    else:
        y = struct.pack("<3f", *dequantize(struct.unpack("3b", q)))
    sys.stdout.buffer.write(struct.pack("<12s3sx12s", x, q, y))
"""
"""The host program. Its arena is x, q and y, a byte free before y; layer 0 makes q and layer 1 makes y."""


def rounded(values: Array) -> Array:
    return (np.rint(values / STEP) * STEP).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Described:
    ticks_per_second: int = TICKS_PER_SECOND


@dataclass(kw_only=True, eq=False)
class FakeDevice:
    """Answers at once. An inference takes `inference_ticks`, a call's first one 900, those in `outliers` others."""

    target: Target
    emulated: bool
    description: str = "fake board"
    stack_bytes: int | None = 640
    resident_bytes: int | None = None
    proportional_bytes: int | None = None
    instructions_per_tick: float | None = None
    board: Board | None = None
    network: Callable[[Array], Array] = rounded
    runs: int = 0
    inference_ticks: int = 100
    outliers: dict[int, int] = field(default_factory=dict)
    timed: int = 0
    most_threads: int = 4
    threads: list[int] = field(default_factory=lambda: [1])
    profiled: tuple[tuple[int, ...], ...] = ((10, 12, 11), (80, 82, 90))
    asked: list[Mapping[str, Array]] = field(default_factory=list)

    def describe(self) -> Described:
        return Described()

    def run(self, inputs: Mapping[str, Array], repeat: int = 1) -> Run:
        self.runs += repeat
        self.asked.append(inputs)
        numbers = range(self.timed, self.timed + repeat - 1)
        self.timed = numbers.stop
        ticks = (self.outliers.get(number, self.inference_ticks) // self.threads[-1] for number in numbers)
        return Run(outputs={"y": self.network(inputs["x"])}, ticks=(900, *ticks))

    def use_threads(self, count: int) -> None:
        if count > self.most_threads:
            raise TransferError(f"{self.description} refused THREADS: UNSUPPORTED")
        self.threads.append(count)

    def profile(self, inputs: Mapping[str, Array], repeat: int) -> tuple[tuple[int, ...], ...]:
        return self.profiled

    def read_stats(self) -> Stats:
        return Stats(
            arena_bytes=28,
            stack_bytes=self.stack_bytes,
            resident_bytes=self.resident_bytes,
            proportional_bytes=self.proportional_bytes,
        )


@pytest.fixture(autouse=True)
def no_quiet_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake boards are as busy at any time: no need to watch them."""
    monkeypatch.setattr(_board_state, "QUIET_S", 0.0)


@pytest.fixture
def board() -> FakeDevice:
    emulator = Emulator(program="qemu-system-arm", machine="none", instructions_per_tick=40)
    return FakeDevice(target=_target("board", emulator), emulated=True, instructions_per_tick=40)


@pytest.fixture
def process() -> FakeDevice:
    return FakeDevice(
        target=_target("host", None),
        emulated=False,
        description="local process",
        stack_bytes=None,
        resident_bytes=1_400_000,
        proportional_bytes=900_000,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "inputs_0.npy", VECTORS)
    np.save(tmp_path / "vectors" / "outputs_0.npy", rounded(VECTORS))
    write_host_program(tmp_path, ROUNDED)
    return Bundle(folder=tmp_path, manifest=_manifest())


@pytest.fixture
def rewritten(bundle: Bundle) -> Callable[[str], Bundle]:
    """The bundle with a host program that quantizes in another way: a Python expression of v and step."""

    def rewrite(quantize: str) -> Bundle:
        write_host_program(bundle.folder, quantize)
        return bundle

    return rewrite


def write_host_program(folder: Path, quantize: str) -> None:
    program = folder / "host" / "reference"
    program.parent.mkdir(exist_ok=True)
    program.write_text(REFERENCE.format(python=f"{sys.executable} -IS", step=STEP, quantize=quantize))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def evidence() -> Evidence:
    samples = Samples(inputs={"x": SAMPLES}, labels=LABELS)
    return Evidence(model=qdq_model(), baseline=float_model(), evaluation=samples, note="invented samples", repeat=12)


def float_model() -> Model:
    return _model([helper.make_node("Identity", ["x"], ["y"])])


def qdq_model() -> Model:
    quantized = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["y"]),
    ]
    return _model(quantized)


def _model(nodes: list[onnx.NodeProto]) -> Model:
    row = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3]) for name in ("x", "y")]
    constants = [
        helper.make_tensor("step", TensorProto.FLOAT, [], [STEP]),
        helper.make_tensor("zero", TensorProto.INT8, [], [0]),
    ]
    graph = helper.make_graph(nodes, "tiny", row[:1], row[1:], constants)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return Model(name="tiny", graph=proto, inputs=_specs("x"), outputs=_specs("y"))


def _specs(name: str) -> tuple[TensorSpec, ...]:
    return (TensorSpec(name=name, shape=(1, 3), dtype="float32"),)


def _target(name: str, emulator: Emulator | None) -> Target:
    return Target(
        name=name, description=name, system="bare", cpu="none", port=name, link="fake", toolchain=Toolchain(),
        emulator=emulator,
    )  # fmt: skip


def _manifest() -> Manifest:
    quantized = OnnxValue(tensor="q", name="q", shape=(1, 3), axes=(0, 1))
    layers = tuple(
        Layer(
            index=i, name=name, op=name, kernel=name, onnx_nodes=(name,), macs=0, weight_bytes=0, code_bytes=60,
            output_shape=(1, 3), onnx_output=onnx_output,
        )
        for i, (name, onnx_output) in enumerate((("quantize", quantized), ("dequantize", None)))
    )  # fmt: skip
    return Manifest(
        name="tiny",
        build_id="00" * 16,
        target="board",
        port="board",
        inputs=_specs("x"),
        outputs=_specs("y"),
        steps=(),
        model_sha256="00" * 32,
        layers=layers,
        arena=Arena(
            bytes=28,
            bound=27,
            peak_layer=1,
            placements=(
                Placement(name="x", offset=0, bytes=12, first=0, last=1),
                Placement(name="q", offset=12, bytes=3, first=0, last=1),
                Placement(name="y", offset=16, bytes=12, first=1, last=1),
            ),
        ),
        sizes=Sizes(
            flash_bytes=400,
            static_ram_bytes=48,
            firmware_flash_bytes=5_400,
            firmware_static_ram_bytes=1_048,
            weights_bytes=0,
            code_bytes=120,
            sections={".text": 5_400},
        ),
        vectors=Vectors(count=2, origin="seeded", seed=0),
        program="firmware.elf",
        files={},
        tools={},
    )
