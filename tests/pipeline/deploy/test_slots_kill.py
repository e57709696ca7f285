"""`deploy --slot` is killed at random moments, the command or the device: a working model always serves afterwards."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import slot_boards
from slot_boards import SlotRuns

from edgecompress.core.run_folder import Run
from edgecompress.core.wire import SlotState

MOMENTS = 12
SWITCHED_ON = 0.8
"""In so many cases the moment is counted from when the board was switched on."""

LONGEST_S = 1.0
KNOWN = 4
LATER = 1.5
"""A moment lies within so many times the longest of the last deployments that were done before theirs: those were the
fast ones. What was done by then counts as no moment."""

SEED = 20_261_123
ENDS = {"host": (0, -signal.SIGKILL), "device": (0, 7), "neither": (0,)}
"""How the command ends after each kill: 0 when it was done already."""

ROOT = Path(__file__).parents[3]
SUPPORT = ROOT / "tests" / "support"


class Commands:
    """Runs command lines one after the other, each in a process that can be killed (tests/support/cli_child.py)."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, str(SUPPORT / "cli_child.py"), str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(SUPPORT)])},
        )

    def start(self, *words: str | Path) -> int:
        """Start a command line; return its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(word) for word in words]).encode() + b"\n")
        return self._next()

    def ends_within(self, timeout_s: float) -> bool:
        """Wait for its end, but no longer than that."""
        return bool(select.select([self._process.stdout], [], [], timeout_s)[0])

    def wait(self) -> int:
        """Wait for its end; return its exit code, or the signal's number below zero."""
        return self._next()

    def close(self) -> None:
        self._process.communicate(timeout=10)

    def _next(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path / "log")
    yield commands
    commands.close()


@pytest.fixture
def board(tmp_path: Path, runs: SlotRuns) -> Path:
    """A board that runs the first network, which its firmware was built with."""
    folder = tmp_path / "board"
    with slot_boards.board(folder) as device:
        device.install(runs.all[0].bundle())
    return folder


def words_for(run: Run, runs: SlotRuns, board: Path) -> list[str | Path]:
    return ["deploy", run.folder, "--slot", "--key", runs.key_path, "--device", f"qemu://{board}"]


def emulator_of(command: int) -> int | None:
    """The process id of the emulator that a command has started, where it runs yet."""
    try:
        children = Path(f"/proc/{command}/task/{command}/children").read_text().split()
        name = Path(f"/proc/{children[0]}/comm").read_text() if children else ""
    except OSError:
        return None
    return int(children[0]) if name.startswith("qemu") else None


def wait_until_it_is_on(command: int, commands: Commands) -> None:
    """Wait for the command's emulator, or its end."""
    while emulator_of(command) is None and not commands.ends_within(0.005):
        pass


def kill(command: int, *, device: bool) -> str:
    """Kill the device, where it is switched on and it shall be the device, or the command; say which was."""
    emulator = emulator_of(command) if device else None
    try:
        os.kill(emulator or command, signal.SIGKILL)
    except ProcessLookupError:
        return "neither"
    return "device" if emulator else "host"


def test_a_working_model_serves_after_every_kill(
    runs: SlotRuns, board: Path, commands: Commands, request: pytest.FixtureRequest
) -> None:
    moments = request.config.getoption("--moments") or MOMENTS
    draw = random.Random(SEED)
    serving, _ = slot_boards.serve(board, runs)
    seen: Counter[str] = Counter()
    lasted_s = [LONGEST_S]
    while seen["host"] + seen["device"] < moments:
        wanted = draw.choice([run for run in runs.all if run.bundle().manifest.build_id != serving])
        command = commands.start(*words_for(wanted, runs, board))
        if draw.random() < SWITCHED_ON:
            wait_until_it_is_on(command, commands)
        begin = time.monotonic()
        if commands.ends_within(draw.uniform(0, LATER * max(lasted_s[-KNOWN:]))):
            lasted_s.append(time.monotonic() - begin)
        killed = kill(command, device=draw.random() < 0.5)
        seen[killed] += 1
        assert commands.wait() in ENDS[killed], (seen, commands.log.read_text()[-2000:])
        first, state = slot_boards.serve(board, runs)
        which = "wanted" if first == wanted.bundle().manifest.build_id else "before"
        seen[f"{which} {state.name if state is not None else 'firmware'}"] += 1
        serving, state = slot_boards.serve(board, runs)
        assert state in (None, SlotState.CONFIRMED), seen
    commands.start(*words_for(wanted, runs, board))
    assert commands.wait() == 0, commands.log.read_text()[-2000:]
    print(dict(seen))  # noqa: T201
    assert seen["host"]
    assert seen["device"]
