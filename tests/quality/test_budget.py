"""The unit tests have a budget: tests/conftest.py counts their CPU seconds and fails a run at twice as many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
BURN = """
import time

def test_that_burns():
    end = time.process_time() + {seconds}
    while time.process_time() < end:
        pass
"""


def run_with_budget_of_a_tenth(folder: Path, seconds: float, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "tests" / "unit").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    conftest = CONFTEST.read_text().replace("UNIT_BUDGET_S = 10.0", "UNIT_BUDGET_S = 0.1")
    (folder / "tests" / "conftest.py").write_text(conftest)
    (folder / "tests" / "unit" / "test_one.py").write_text(BURN.format(seconds=seconds))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["one process", "xdist"])
def test_twice_the_budget_fails_the_run_though_every_test_passed(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run_with_budget_of_a_tenth(tmp_path, 0.5, *words)
    assert "1 passed" in done.stdout
    assert "CPU seconds, OVER the 0.1" in done.stdout
    assert done.returncode == 1


def test_a_run_within_the_budget_passes(tmp_path: Path) -> None:
    done = run_with_budget_of_a_tenth(tmp_path, 0.03)
    assert "CPU seconds, within the 0.1" in done.stdout
    assert done.returncode == 0
