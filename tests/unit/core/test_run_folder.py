"""A stage runs again only when its inputs changed, and never leaves half a result."""

import json
from pathlib import Path

import pytest

from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import Recipe
from edgecompress.core.run_folder import Run, RunRecord


class Watcher:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def stage_started(self, stage: str) -> None:
        self.seen.append(f"start {stage}")

    def progress(self, what: str, done: int, total: int) -> None:
        pass

    def stage_done(self, stage: str, seconds: float, *, reused: bool) -> None:
        self.seen.append(f"{'reuse' if reused else 'end'} {stage}")


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def run(tmp_path: Path, watcher: Watcher) -> Run:
    record = RunRecord(source="network.onnx", recipe=Recipe(model=tmp_path / "network.onnx"))
    return Run(tmp_path / "run", record, watcher)


def do(run: Run, stage: str, inputs: dict[str, str], result: str) -> None:
    with run.stage(stage, inputs, result) as key:
        if key is not None:
            run.folder.mkdir(exist_ok=True)
            (run.folder / result).write_text(key)


def test_a_stage_with_the_same_inputs_is_reused(run: Run, watcher: Watcher) -> None:
    do(run, "compress", {"model": "a"}, "model")
    do(run, "compress", {"model": "a"}, "model")
    assert watcher.seen == ["start compress", "end compress", "reuse compress"]


def test_a_stage_whose_result_is_gone_runs_again(run: Run, watcher: Watcher) -> None:
    do(run, "compress", {"model": "a"}, "model")
    (run.folder / "model").unlink()
    do(run, "compress", {"model": "a"}, "model")
    assert watcher.seen[-2:] == ["start compress", "end compress"]


def test_a_stage_whose_result_is_not_intact_runs_again(run: Run, watcher: Watcher) -> None:
    do(run, "compile", {"model": "a"}, "bundle")
    with run.stage("compile", {"model": "a"}, "bundle", intact=lambda: False) as key:
        assert key is not None
    assert watcher.seen[-2:] == ["start compile", "end compile"]


def test_a_stage_that_runs_again_makes_later_ones_stale(run: Run) -> None:
    do(run, "compress", {"model": "a"}, "model")
    do(run, "compile", {"model": run.key("compress")}, "bundle")
    do(run, "compress", {"model": "b"}, "model")
    with pytest.raises(ConfigError, match="the stage 'compile' is not done"):
        run.key("compile")


def test_a_stage_that_fails_is_not_recorded(run: Run, watcher: Watcher) -> None:
    with pytest.raises(RuntimeError), run.stage("compress", {}, "model"):
        raise RuntimeError
    assert "compress" not in run.record.stages
    assert watcher.seen == ["start compress"]


def test_a_run_is_opened_as_it_was_left(run: Run, watcher: Watcher) -> None:
    do(run, "compress", {"model": "a"}, "model")
    opened = Run.open(run.folder, watcher)
    assert opened.record == run.record


def test_a_damaged_run_record_is_a_config_error(run: Run, watcher: Watcher) -> None:
    do(run, "compress", {}, "model")
    path = run.folder / "run.json"
    path.write_text(json.dumps({"version": 1, "surprise": True}))
    with pytest.raises(ConfigError, match=r"run\.json is damaged"):
        Run.open(run.folder, watcher)
