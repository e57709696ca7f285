"""How long `edgecompress deploy` over SSH takes, from the command line's start to verified, and what it imports."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ssh_server import SshServer

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.recipe import Recipe
from edgecompress.core.run_folder import RunRecord, StageRecord

ROOT = Path(__file__).parents[3]
PROGRAM_BYTES = 1_000_000
LIMIT_S = 3.0
CPU_LIMIT_S = 2.0
ATTEMPTS = 5
HEAVY = {"torch", "tvm", "onnx", "onnxruntime", "onnxslim", "altair", "tflite", "jinja2"}


@pytest.fixture
def run_folder(two_builds: tuple[Bundle, Bundle], tmp_path: Path) -> Path:
    """A run whose network is compiled: what `edgecompress deploy` begins with. Its program has 1 MB or more."""
    folder = tmp_path / "run"
    shutil.copytree(two_builds[0].folder, folder / "bundle")
    assert two_builds[0].program.stat().st_size >= PROGRAM_BYTES
    done = StageRecord(key="key", seconds=0.0)
    record = RunRecord(
        source="network.onnx",
        recipe=Recipe(model=Path("/network.onnx")),
        target=targets.load("host"),
        stages={"compress": done, "compile": done},
    )
    (folder / "run.json").write_text(record.model_dump_json())
    return folder


@pytest.fixture
def environment(ssh_server: SshServer, tmp_path: Path) -> dict[str, str]:
    """A home whose ~/.ssh/config knows the server as `board`."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(
        f"Host board\n HostName 127.0.0.1\n Port {ssh_server.port}\n IdentityFile {ssh_server.folder}/id\n"
        f" UserKnownHostsFile {ssh_server.folder}/known_hosts\n"
    )
    return os.environ | {"HOME": str(tmp_path)}


def deploy(run_folder: Path, board: Path, environment: dict[str, str], *python: str) -> str:
    """Deploy from the beginning; return what was printed on stderr."""
    (run_folder / "deployment.json").unlink(missing_ok=True)
    shutil.rmtree(board, ignore_errors=True)
    words = [sys.executable, *python, "-m", "edgecompress", "deploy", run_folder, "--device", f"ssh://board{board}"]
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{run_folder}/deployment.json\n"
    return done.stderr


def test_a_megabyte_is_deployed_in_less_than_three_seconds(
    run_folder: Path, ssh_server: SshServer, environment: dict[str, str]
) -> None:
    """The best of some attempts: a busy machine takes its time; how much of it was ours, the CPU seconds tell."""
    walls, cpus = [], []
    for _ in range(ATTEMPTS):
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        deploy(run_folder, ssh_server.board, environment)
        walls.append(time.monotonic() - begin)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if walls[-1] < LIMIT_S:
            break
    assert min(cpus) < CPU_LIMIT_S
    if min(walls) >= LIMIT_S and os.getloadavg()[0] > (os.cpu_count() or 1):
        pytest.skip(f"this machine is too busy to tell: load {os.getloadavg()[0]:.1f}, best of {walls}")
    assert min(walls) < LIMIT_S


def test_deploying_imports_no_compiler_and_no_framework(
    run_folder: Path, ssh_server: SshServer, environment: dict[str, str]
) -> None:
    printed = deploy(run_folder, ssh_server.board, environment, "-X", "importtime")
    imported = set(re.findall(r"^import time:.*\| +([^.\s]+)", printed, re.MULTILINE))
    assert {"paramiko", "numpy"} <= imported
    assert not imported & HEAVY
