"""Ctrl-C at any stage: exit code 130, nothing half-written, no process left, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "examples" / "wakeword.toml"
DONE_LINES = {
    "steps": "Compress",
    "compile": "Measure each step",
    "deploy": "Compile",
    "profile": "Deploy and verify",
    "report": "Measure  ",
}
"""Stage -> the line that says that the one before it is done."""


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgecompress", "run", str(RECIPE), "-t", "mps2-an386", "-o", str(folder)]
    return subprocess.Popen([*command, "--repeat", "3"], stderr=subprocess.PIPE, text=True, cwd=ROOT)


def wait_for(process: subprocess.Popen[str], line_part: str) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line_part in line:
            return
    pytest.fail(f"the run ended without printing {line_part!r}")


def children_of(pid: int) -> list[str]:
    """The command lines of a process's living descendants."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(") ", 1)[1].split()
            if entry.name.isdigit() and int(fields[1]) == pid:
                found += [(entry / "cmdline").read_text(), *children_of(int(entry.name))]
        except (OSError, IndexError):
            continue
    return found


@pytest.mark.parametrize("stage", ["compress", *DONE_LINES])
def test_an_interrupted_run_leaves_nothing_half_written_and_goes_on(stage: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder)
    if stage in DONE_LINES:
        wait_for(process, DONE_LINES[stage])
    else:
        time.sleep(0.5)
    time.sleep(0.15)
    emulators = [words for words in children_of(process.pid) if "qemu" in words]
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "error: interrupted; finished stages are kept, nothing half-written is left" in err
    assert list(folder.rglob(".*")) == []
    assert not any(str(folder) in words for entry in emulators for words in [entry] if _lives(entry))

    again = start(folder)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert err.count("up to date") == ["compress", *DONE_LINES].index(stage)


def _lives(command_line: str) -> bool:
    for entry in Path("/proc").iterdir():
        try:
            if (entry / "cmdline").read_text() == command_line:
                return True
        except OSError:
            continue
    return False
