"""What users get wrong, through the command line: one clear error, its exit code, and nothing half-written."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

ROOT = Path(__file__).parents[2]
NETWORK = ROOT / "examples" / "mlperf_tiny" / "sww_stream_int8.onnx"
FLOAT_NETWORK = ROOT / "examples" / "mlperf_tiny" / "sww_stream_fp32.onnx"
Command = Callable[..., subprocess.CompletedProcess[str]]


def save_network(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: list[int | str],
    kind: int = TensorProto.FLOAT,
    rank: int | None = None,
) -> Path:
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    outputs = [helper.make_tensor_value_info("y", kind, shape[:rank])]
    graph = helper.make_graph(nodes, "network", inputs, outputs)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def only(err: str) -> str:
    """The one error of a command that did nothing else."""
    assert err.startswith("error: "), err
    return err.removeprefix("error: ")


def test_a_truncated_network_is_refused(tmp_path: Path, edgecompress: Command) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(NETWORK.read_bytes()[:20_000])
    done = edgecompress("run", broken, "-t", "host", "-o", tmp_path / "run", code=4)
    assert str(broken) in only(done.stderr)
    assert not (tmp_path / "run").exists()


def test_operators_that_cannot_be_compiled_are_all_named(tmp_path: Path, edgecompress: Command) -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["a"], name="find"),
        helper.make_node("Cast", ["a"], ["b"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Det", ["x"], ["y"], name="determinant"),
    ]
    network = save_network(tmp_path / "odd.onnx", nodes, [1, 4, 4], rank=1)
    done = edgecompress("check", network, "-t", "mps2-an386", code=4)
    assert "Det" in done.stderr
    assert "determinant" in done.stderr


def test_a_float16_network_is_refused(tmp_path: Path, edgecompress: Command) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"], name="relu")
    network = save_network(tmp_path / "half.onnx", [relu], [1, 4], TensorProto.FLOAT16)
    done = edgecompress("check", network, "-t", "mps2-an386", code=4)
    assert "float16" in only(done.stderr)


def test_a_shape_that_is_not_bound_is_refused(tmp_path: Path, edgecompress: Command) -> None:
    network = save_network(tmp_path / "open.onnx", [helper.make_node("Relu", ["x"], ["y"])], [1, 3, "height", "width"])
    done = edgecompress("check", network, "-t", "mps2-an386", code=4)
    assert "height" in only(done.stderr)
    assert "shapes" in done.stderr


def test_an_unknown_key_in_a_recipe_names_file_key_and_suggestion(tmp_path: Path, edgecompress: Command) -> None:
    recipe = tmp_path / "typo.toml"
    recipe.write_text(f'model = "{NETWORK}"\n[limits]\nflash_byte = 1\n')
    done = edgecompress("run", recipe, "-t", "host", "-o", tmp_path / "run", code=3)
    assert done.stderr == f"error: {recipe}: unknown key 'limits.flash_byte'\nhint: did you mean 'flash_bytes'?\n"
    assert not (tmp_path / "run").exists()


def test_a_wrong_type_in_a_target_names_file_and_key(tmp_path: Path, edgecompress: Command) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text((ROOT / "targets" / "mps2-an386.toml").read_text().replace("25_000_000", '"fast"'))
    done = edgecompress("check", NETWORK, "-t", profile, code=3)
    assert only(done.stderr).startswith(f"{profile}: 'clock_hz': ")
    assert "'fast'" in done.stderr


def test_data_of_the_wrong_shape_is_refused(tmp_path: Path, edgecompress: Command) -> None:
    np.savez(tmp_path / "data.npz", specs=np.zeros((10, 30, 40), np.float32))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'model = "{FLOAT_NETWORK}"\n[data]\nfile = "data.npz"\ninputs = "specs"\n[[steps]]\nmethod = "static_int8"\n'
    )
    done = edgecompress("run", recipe, "-t", "host", "-o", tmp_path / "run", code=3)
    assert "data.npz" in only(done.stderr)
    assert "(10, 30, 40)" in done.stderr
    assert not (tmp_path / "run").exists()


def tools_without(tmp_path: Path, missing: str) -> Path:
    """A PATH folder with the tools of a build, one left out."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("gcc", "arm-none-eabi-gcc", "qemu-system-arm", "as", "ld", "arm-none-eabi-as", "arm-none-eabi-ld"):
        found = shutil.which(name)
        if found and name != missing:
            (folder / name).symlink_to(found)
    return folder


@pytest.mark.parametrize(
    ("missing", "package"),
    [("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"), ("qemu-system-arm", "qemu-system-arm")],
)
def test_a_missing_tool_names_its_package(missing: str, package: str, tmp_path: Path, edgecompress: Command) -> None:
    path = tools_without(tmp_path, missing)
    done = edgecompress("run", NETWORK, "-t", "mps2-an386", "-o", tmp_path / "run", code=13, path=path)
    assert f"error: {missing} is not installed or not on PATH\n" in done.stderr
    assert f"hint: on Debian or Ubuntu: sudo apt-get install {package}\n" in done.stderr
    assert not list((tmp_path / "run").rglob(".*"))


FAKES = {
    "says nothing": ("exec sleep 600", "no answer from"),
    "says garbage": ("while :; do head -c 4096 /dev/urandom >&0; done", "but no frame"),
    "dies at once": ("echo the board burnt >&2; exit 3", "ended with exit code 3"),
    "dies in the middle": ('timeout -s KILL 0.4 qemu-system-arm "$@" <&0; exit 4', "ended with exit code 4"),
}


@pytest.mark.parametrize("fault", FAKES)
def test_a_broken_emulator_is_an_unreachable_device(fault: str, tmp_path: Path, edgecompress: Command) -> None:
    script, complaint = FAKES[fault]
    emulator = tmp_path / "emulator"
    emulator.write_text(f"#!/bin/sh\n{script}\n")
    emulator.chmod(0o755)
    profile = tmp_path / "mine.toml"
    text = (ROOT / "targets" / "mps2-an386.toml").read_text()
    profile.write_text(text.replace('program = "qemu-system-arm"', f'program = "{emulator}"'))
    network = ROOT / "examples" / "mlperf_tiny" / "ic_resnet8_int8.onnx" if "middle" in fault else NETWORK
    done = edgecompress("run", network, "-t", profile, "-o", tmp_path / "run", "--repeat", "1000", code=7)
    assert complaint in done.stderr
    assert (tmp_path / "run" / "bundle" / "manifest.json").exists()
    assert not (tmp_path / "run" / "report.json").exists()


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """A file system of 300 kB; needs root, as the machines that run these tests have it."""
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_leaves_no_bundle(full_disk: Path, edgecompress: Command) -> None:
    done = edgecompress("run", NETWORK, "-t", "host", "-o", full_disk / "run", code=1)
    assert f"error: cannot write {full_disk}/run/" in done.stderr
    assert "No space left on device" in done.stderr
    assert "hint: free some space or choose another folder with -o" in done.stderr
    assert not (full_disk / "run" / "bundle").exists()
    assert not list((full_disk / "run").rglob(".*"))


def test_a_terminated_run_ends_as_an_interrupted_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgecompress", "run", str(NETWORK), "-t", "host", "-o", str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "error: interrupted" in err


ENDED_IN_A_CALLBACK = """
import os, signal, time, weakref
from edgecompress import cli
from edgecompress.cli import commands

class Value:
    pass

def forget(_):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)

def work(**_):
    value = Value()
    watched = weakref.ref(value, forget)
    del value
    time.sleep(30)

commands.group.main = work
cli.main([])
"""


def test_a_signal_inside_a_callback_that_drops_exceptions_still_ends_the_run() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDED_IN_A_CALLBACK], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.startswith("error: interrupted")


INTERRUPTED_IN_EXEC = """
from edgecompress import cli
from edgecompress.cli import commands

def work(**_):
    exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(30)")

commands.group.main = work
cli.main()
"""


def test_an_interrupt_inside_the_exec_of_a_text_ends_with_the_same_exit_code() -> None:
    command = [sys.executable, "-c", INTERRUPTED_IN_EXEC]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.startswith("error: interrupted")
