"""Runs of small networks for a firmware with slots, and an emulated board that is kept in a folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgecompress import pipeline
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.run_folder import Run, Silent
from edgecompress.core.slot_key import PublicKey
from edgecompress.core.wire import SlotState
from edgecompress.deploy import _signing_key, _slot_update, qemu
from edgecompress.deploy._signing_key import SigningKey
from edgecompress.deploy._slot_update import Signer

TARGET = "mps2-an386"


@dataclass(frozen=True, kw_only=True)
class SlotRuns:
    """Compiled runs, and the key that all their firmwares take."""

    all: tuple[Run, ...]
    key_path: Path
    key: SigningKey

    @property
    def signer(self) -> Signer:
        return Signer(public=self.key.public, sign=self.key.sign)

    def by_build(self, build_id: str) -> Bundle:
        """The bundle with this build id; KeyError for any other."""
        bundles = [run.bundle() for run in self.all]
        return {bundle.manifest.build_id: bundle for bundle in bundles}[build_id]


def make_runs(folder: Path, count: int, target_name: str = TARGET, width: int = 96) -> SlotRuns:
    """Compile networks for a firmware with slots, all different: about 30 KB each with a width of 96."""
    key_path = folder / "slots.key"
    public = _signing_key.create(key_path, None, replace=False)
    runs = tuple(make_run(folder, number, public, target_name, width) for number in range(count))
    return SlotRuns(all=runs, key_path=key_path, key=_signing_key.load(key_path, lambda: ""))


def make_run(folder: Path, number: int, key: PublicKey | None, target_name: str = TARGET, width: int = 96) -> Run:
    """Compile a network of one hidden layer into a run folder; with slots when there is a key."""
    name = f"network{number}"
    source = folder / f"{name}.onnx"
    onnx.save(_network(width + 8 * number, seed=number), source)
    run = pipeline.compress(source, folder / name, Silent())
    pipeline.compile_network(run, targets.load(target_name), slot_key=key)
    return run


def board(folder: Path, target_name: str = TARGET) -> Device:
    """The board that is kept in a folder."""
    return qemu.connect(targets.load(target_name), str(folder))


@contextmanager
def switched_on(folder: Path) -> Iterator[str]:
    """Switch a kept board on by itself, its UART at a pseudo-terminal; yield that one's path."""
    file = f"memory-backend-file,id=kept,mem-path={folder / 'memory.bin'},size=16M,share=on"
    machine = ["-machine", f"{TARGET},memory-backend=kept", "-object", file, "-kernel", str(folder / "firmware.elf")]
    words = ["qemu-system-arm", *machine, *qemu.HEADLESS, *qemu.COUNT_INSTRUCTIONS, "-serial", "pty"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(word for word in process.stdout.readline().split() if word.startswith("/dev/"))
        finally:
            process.kill()


def serve(folder: Path, runs: SlotRuns) -> tuple[str, SlotState | None]:
    """Switch the board on, hold what runs against its test vectors; return its build id and its slot's state."""
    with board(folder) as device:
        hello = device.join()
        device.adopt(runs.by_build(hello.build_id))
        running = _slot_update.read_info(device).running
    return hello.build_id, running.state if running is not None else None


def _network(width: int, seed: int) -> onnx.ModelProto:
    draw = np.random.default_rng(seed)
    weights = {
        "hidden": draw.normal(size=(64, width)).astype(np.float32),
        "last": draw.normal(size=(width, 10)).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "hidden"], ["sums"], name="first"),
            helper.make_node("Relu", ["sums"], ["positive"], name="relu"),
            helper.make_node("MatMul", ["positive", "last"], ["y"], name="second"),
        ],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
