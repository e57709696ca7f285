"""Whole runs through the command line, on this machine and on an emulated board."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "examples" / "wakeword.toml"
NETWORKS = ROOT / "examples" / "mlperf_tiny"
Command = Callable[..., subprocess.CompletedProcess[str]]


def metrics(report: dict) -> dict[tuple[str, str | None], dict]:
    return {(m["metric"], m["stage"]): m for m in report["candidates"][0]["measurements"]}


@pytest.fixture(scope="module", params=["host", "mps2-an386"])
def wakeword(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, edgecompress: Command
) -> tuple[str, Path, dict]:
    folder = tmp_path_factory.mktemp(request.param) / "wakeword"
    done = edgecompress("run", RECIPE, "--target", request.param, "-o", folder, "--json")
    return request.param, folder, json.loads(done.stdout)


def test_a_run_prints_the_report_that_it_wrote(wakeword: tuple[str, Path, dict]) -> None:
    _, folder, report = wakeword
    assert json.loads((folder / "report.json").read_text()) == report
    assert {"report.html", "report.md"} <= {path.name for path in folder.iterdir()}


def test_the_device_computes_what_the_host_computes(wakeword: tuple[str, Path, dict]) -> None:
    found = metrics(wakeword[2])
    assert found["device_mismatched_bytes", None]["value"] == 0
    assert found["accuracy", "device"]["value"] == found["accuracy", "int8 host"]["value"]
    assert found["accuracy", "float host"]["value"] >= 0.8
    assert found["onnxruntime_top1_agreement", None]["value"] >= 0.95


def test_every_metric_has_a_figure_or_says_why_not(wakeword: tuple[str, Path, dict]) -> None:
    for metric in wakeword[2]["candidates"][0]["measurements"]:
        assert (metric["value"] is None) == (metric["missing"] is not None), metric


def test_an_emulated_board_reports_instructions_and_no_time(wakeword: tuple[str, Path, dict]) -> None:
    target, _, report = wakeword
    found = metrics(report)
    counted, timed = found["latency_instructions", None], found["latency_us", None]
    if target == "host":
        assert timed["how"] == "measured"
        assert counted["missing"]
    else:
        assert counted["how"] == "emulated"
        assert counted["unit"] == "instructions"
        assert timed["missing"]


def test_the_note_on_the_data_is_in_the_report(wakeword: tuple[str, Path, dict]) -> None:
    assert "These are the source's calibration samples, not a test set." in wakeword[2]["notes"]


def test_the_same_command_again_does_no_stage_twice(wakeword: tuple[str, Path, dict], edgecompress: Command) -> None:
    target, folder, report = wakeword
    again = edgecompress("run", RECIPE, "--target", target, "-o", folder, "--json")
    assert json.loads(again.stdout) == report
    assert again.stderr.count("up to date") == 6


def test_what_is_gone_or_changed_in_a_run_folder_is_made_again(tmp_path: Path, edgecompress: Command) -> None:
    network, run = NETWORKS / "sww_stream_int8.onnx", tmp_path / "run"
    edgecompress("run", network, "-t", "host", "-o", run, "--repeat", "1")
    page, firmware = run / "report.html", run / "bundle" / "program"
    was = firmware.read_bytes()
    page.unlink()
    edgecompress("report", run)
    assert page.exists()
    firmware.write_bytes(was[:-1])
    refused = edgecompress("deploy", run, code=3)
    assert f"error: {firmware} changed since the bundle was compiled" in refused.stderr
    assert "hint: run `edgecompress compile` again: it replaces the bundle" in refused.stderr
    edgecompress("compile", run, "-t", "host")
    assert firmware.read_bytes() == was
    (run / "model" / "model.onnx").unlink()
    edgecompress("compress", network, "-o", run)
    assert (run / "model" / "model.onnx").exists()


def test_each_stage_alone_reads_what_the_one_before_it_wrote(tmp_path: Path, edgecompress: Command) -> None:
    network = NETWORKS / "sww_stream_int8.onnx"
    edgecompress("compress", network, "-o", tmp_path / "run")
    edgecompress("compile", tmp_path / "run", "-t", "host")
    edgecompress("deploy", tmp_path / "run")
    edgecompress("profile", tmp_path / "run", "--repeat", "3")
    done = edgecompress("report", tmp_path / "run", "--json")
    assert metrics(json.loads(done.stdout))["device_mismatched_bytes", None]["value"] == 0


def test_the_same_network_gives_the_same_bytes_of_c(tmp_path: Path, edgecompress: Command) -> None:
    def sources(run: Path) -> dict[str, bytes]:
        edgecompress("compress", NETWORKS / "sww_stream_int8.onnx", "-o", run)
        edgecompress("compile", run, "-t", "host")
        return {path.name: path.read_bytes() for path in (run / "bundle" / "src").iterdir()}

    assert sources(tmp_path / "one") == sources(tmp_path / "elsewhere" / "two")


def test_a_missed_limit_ends_with_its_own_exit_code_after_the_report(tmp_path: Path, edgecompress: Command) -> None:
    recipe = tmp_path / "strict.toml"
    recipe.write_text(f'model = "{NETWORKS}/sww_stream_int8.onnx"\n[limits]\nflash_bytes = 1000\n')
    done = edgecompress("run", recipe, "-t", "host", "-o", tmp_path / "run", code=6)
    assert "error: flash_bytes is " in done.stderr
    assert "and must be at most 1,000" in done.stderr
    assert (tmp_path / "run" / "report.html").exists()


def test_a_missed_limit_and_the_report_are_one_object(tmp_path: Path, edgecompress: Command) -> None:
    recipe = tmp_path / "strict.toml"
    recipe.write_text(f'model = "{NETWORKS}/sww_stream_int8.onnx"\n[limits]\nflash_bytes = 1000\n')
    done = edgecompress("run", recipe, "-t", "host", "-o", tmp_path / "run", "--json", "--repeat", "1", code=6)
    printed = json.loads(done.stdout)
    assert printed.pop("error")["exit_code"] == 6
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == printed


def test_what_does_not_fit_and_its_bounds_are_one_object(tmp_path: Path, edgecompress: Command) -> None:
    small = tmp_path / "small.toml"
    small.write_text((ROOT / "targets" / "mps2-an386.toml").read_text() + "\n[budget]\nram_bytes = 4096\n")
    done = edgecompress("check", NETWORKS / "sww_stream_int8.onnx", "-t", small, "--json", code=5)
    printed = json.loads(done.stdout)
    assert printed["error"]["exit_code"] == 5
    assert printed["ram_limit_bytes"] == 4096 < printed["ram_bytes"]


def test_a_network_that_is_too_big_is_refused_before_anything_is_built(tmp_path: Path, edgecompress: Command) -> None:
    profile = (ROOT / "targets" / "mps2-an386.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(profile + "\n[budget]\nram_bytes = 4096\n")
    done = edgecompress("run", NETWORKS / "vww_mobilenetv1_025_int8.onnx", "-t", small, "-o", tmp_path / "run", code=5)
    assert "bytes of RAM; small has 4,096" in done.stderr
    assert not (tmp_path / "run" / "bundle").exists()
