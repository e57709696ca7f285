"""The recipe for a Raspberry Pi, as the README says: on this machine, and on a virtual board behind SSH."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
RECIPE = Path(__file__).parents[2] / "examples" / "raspberry_pi.toml"
DEVICES = {"host": "local://", "rpi4": "loop://rpi4"}


@pytest.mark.parametrize("target", DEVICES)
def test_the_recipe_keeps_its_limits(
    target: str, edgecompress: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    words = ("run", RECIPE, "--target", target, "--device", DEVICES[target], "-o", tmp_path / "run", "--json")
    report = json.loads(edgecompress(*words).stdout)

    (candidate,) = report["candidates"]
    values = {each["metric"]: each["value"] for each in candidate["measurements"]}
    assert report["target"]["name"] == target
    assert values["device_mismatched_bytes"] == 0
    assert values["accuracy"] == pytest.approx(28 / 30)
    assert [(limit["metric"], limit["passed"]) for limit in candidate["limits"]] == [
        ("accuracy_drop", True),
        ("flash_bytes", True),
    ]
