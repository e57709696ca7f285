"""Every step of a recipe is kept as it is done, scored, and measured on the device."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "examples" / "wakeword.toml"
NETWORK = ROOT / "examples" / "mlperf_tiny" / "sww_stream_fp32.onnx"


def figures(effect: dict) -> dict[str, float | None]:
    return {metric["metric"]: metric["value"] for metric in effect["metrics"]}


def test_the_report_shows_what_the_step_bought_on_the_device(tmp_path: Path, edgecompress: Command) -> None:
    done = edgecompress("run", RECIPE, "-t", "mps2-an386", "-o", tmp_path / "run", "--json")

    report = json.loads(done.stdout)["candidates"][0]
    given, quantized = report["effects"]
    before, after = figures(given), figures(quantized)
    measured = {m["metric"]: m["value"] for m in report["measurements"] if m["stage"] is None}
    assert (given["method"], quantized["method"]) == ("as given", "static_int8")
    assert before["parameters"] == 46627
    assert before["stored_bytes"] == 4 * 46627 + 16
    assert before["macs"] == after["macs"] == 826368
    assert after["flash_bytes"] == measured["flash_bytes"] < 0.4 * before["flash_bytes"]
    assert after["latency_instructions"] == measured["latency_instructions"] < 0.5 * before["latency_instructions"]
    assert after["ram_bytes"] < 0.5 * before["ram_bytes"]
    assert before["accuracy"] == 28 / 30
    assert quantized["pointed_out"] is None
    assert "1 static\\_int8" in (tmp_path / "run" / "report.md").read_text()


def test_steps_on_the_command_line_come_after_the_recipe_s(tmp_path: Path, edgecompress: Command) -> None:
    edgecompress("compress", NETWORK, "-o", tmp_path / "run", "--step", "static_int8 ranges=mse", code=3)
    edgecompress("compress", RECIPE, "-o", tmp_path / "run")

    refused = edgecompress("compress", RECIPE, "-o", tmp_path / "run", "--step", "static_int8", code=4)

    assert "is already quantized" in refused.stderr


def test_an_interrupted_recipe_goes_on_at_its_step(tmp_path: Path, edgecompress: Command) -> None:
    run = tmp_path / "run"
    edgecompress("compress", RECIPE, "-o", run)
    kept = run / "steps" / "01_static_int8" / "model.onnx"
    made = kept.stat().st_mtime_ns
    (run / "model" / "model.onnx").unlink()

    edgecompress("compress", RECIPE, "-o", run)

    assert kept.stat().st_mtime_ns == made
    assert (run / "model" / "model.onnx").exists()
    assert {path.name for path in kept.parent.iterdir()} == {"model.onnx", "step.json"}
