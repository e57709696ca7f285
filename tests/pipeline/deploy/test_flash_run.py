"""A run folder whose bundle is flashed: the board that was flashed is measured, and the report says where."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from faulty_gdb import running_qemu
from onnx import TensorProto, helper, numpy_helper

from edgecompress import pipeline
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError
from edgecompress.core.run_folder import Run, Silent
from edgecompress.pipeline import flashing
from edgecompress.pipeline.flashing import FlashChoice

BOARD = targets.load("mps2-an386")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    weights = numpy_helper.from_array(np.eye(4, dtype=np.float32) * 2, "weights")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])], "double", ends[:1], ends[1:], [weights]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "double.onnx")
    run = pipeline.compress(folder / "double.onnx", folder / "run", Silent())
    pipeline.compile_network(run, BOARD)
    return folder / "run"


def test_the_flashed_board_is_measured_and_reported(run_folder: Path) -> None:
    with running_qemu(BOARD) as port:
        choice = FlashChoice(device=f"gdb://127.0.0.1:{port}")
        outcome = flashing.flash(run_folder / "bundle", BOARD, choice, Silent(), repeat=2)
    assert outcome.run_folder == run_folder
    assert outcome.record_path == run_folder / "flash.json"
    assert outcome.report is not None
    assert outcome.record.device.startswith(f"mps2-an386 behind gdb://127.0.0.1:{port} (QEMU ")
    deployed = json.loads((run_folder / "deployment.json").read_text())
    assert (deployed["build_id"], deployed["emulated"]) == (outcome.record.build_id, True)
    figures = {each.metric: each for each in outcome.report.candidates[0].measurements}
    assert figures["latency_us"].value is None
    assert figures["latency_instructions"].value is None
    assert figures["device_mismatched_bytes"].value == 0
    assert any("an emulator that somebody else started" in note for note in outcome.report.notes)


def test_a_run_is_deployed_to_a_debug_server_like_to_any_device(run_folder: Path) -> None:
    run = Run.open(run_folder, Silent())
    with running_qemu(BOARD) as port:
        done = pipeline.deploy(run, pipeline.DeviceChoice(address=f"gdb://127.0.0.1:{port}"))
    assert done.build_id == run.bundle().manifest.build_id
    assert done.emulated


def test_a_bundle_that_changed_is_not_flashed(run_folder: Path) -> None:
    program = run_folder / "bundle" / "firmware.elf"
    whole = program.read_bytes()
    program.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with pytest.raises(ConfigError) as caught:
            flashing.flash(run_folder, BOARD, FlashChoice(device="gdb://127.0.0.1:1"), Silent(), repeat=2)
    finally:
        program.write_bytes(whole)
    assert caught.value.message == f"{program} changed since the bundle was compiled"
