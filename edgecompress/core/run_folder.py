"""The run folder: what the stages leave for one another, and which of them are up to date.

    RUN/run.json            what was asked (recipe, target) and which stages are done, each with the key of its inputs
    RUN/model/              compress: baseline.onnx (as given), model.onnx (as compiled), evaluation.npz (with labels)
    RUN/steps/              compress: each step's network, see pipeline/steps.py
    RUN/steps.json          what each step bought and cost, on the device too
    RUN/bundle/             compile: see core/bundle.py
    RUN/deployment.json     deploy: the device, the build id it answered with, the vectors it reproduced
    RUN/flash.json          flash: see core/flash_record.py
    RUN/measurements.json   profile
    RUN/report.{json,md,html}

A stage runs again only when the key of its inputs changed, so the same command after an interruption goes on where
it stopped. Every file and folder appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

import edgecompress
from edgecompress.core import bundle, files, shipped
from edgecompress.core import recipe as recipes
from edgecompress.core.errors import ConfigError
from edgecompress.core.target import Target
from edgecompress.core.values import FileValue, Measurements, Samples, first_problem

RUN_VERSION = 1
INTERRUPTED = "steps"
"""All that a run holds which was interrupted in its first step."""
OWN_SOURCES = {".py", ".html", ".css", ".c", ".h", ".ld", ".txt"}
T = TypeVar("T", bound=BaseModel)


class Observer(Protocol):
    """Who watches a run: the command line's progress display, or nobody."""

    def stage_started(self, stage: str) -> None:
        """A stage begins."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Something long inside a stage got on; `total` is 0 when it is unknown."""

    def stage_done(self, stage: str, seconds: float, *, reused: bool) -> None:
        """A stage ended, or an earlier run had already done it."""


class Silent:
    """An observer that looks away."""

    def stage_started(self, stage: str) -> None:
        """Do nothing."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Do nothing."""

    def stage_done(self, stage: str, seconds: float, *, reused: bool) -> None:
        """Do nothing."""


class StageRecord(FileValue):
    """A finished stage: the key of what it was made from, and how long it took."""

    key: str
    seconds: float


class RunRecord(FileValue):
    """run.json."""

    version: int = RUN_VERSION
    source: str
    recipe: recipes.Recipe
    target: Target | None = None
    stages: dict[str, StageRecord] = {}


class Deployment(FileValue):
    """deployment.json: proof that the device holds this build and computes what the host computed.

    After `deploy --slot`, `slot` says where the network runs (`firmware`: it is the one that came with the firmware),
    `sequence` counts the installations.
    """

    device: str
    emulated: bool
    target: str
    build_id: str
    verified_vectors: int
    slot: Literal["a", "b", "firmware"] | None = None
    sequence: int | None = None


class Profile(FileValue):
    """measurements.json."""

    device: str
    emulated: bool
    instructions_per_tick: float | None = None
    measurements: Measurements


class Run:
    """A run folder: reads and writes what the stages left, and knows which of them are up to date."""

    def __init__(self, folder: Path, record: RunRecord, observer: Observer) -> None:
        self.folder = folder
        self.record = record
        self.observer = observer

    @classmethod
    def open(cls, folder: Path, observer: Observer) -> Run:
        """Open an existing run folder. Raises ConfigError when it is none."""
        return cls(folder, _read(folder / "run.json", RunRecord, by="compress"), observer)

    @classmethod
    def begin(cls, folder: Path, source: Path, observer: Observer, more_steps: Sequence[recipes.Step] = ()) -> Run:
        """Open the folder for `source` (a recipe or a model file), keeping what an earlier run of it finished.

        `more_steps` come after those of the recipe. Raises ConfigError when the folder holds something that no run
        wrote.
        """
        asked = recipes.load_or_wrap(source)
        asked = asked.model_copy(update={"steps": (*asked.steps, *more_steps)})
        if (folder / "run.json").exists():
            was = cls.open(folder, observer).record
            record = was.model_copy(update={"source": str(source), "recipe": asked})
        elif folder.exists() and any(path.name != INTERRUPTED for path in folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and holds no run", hint="choose another folder with -o")
        else:
            record = RunRecord(source=str(source), recipe=asked)
        return cls(folder, record, observer)

    @property
    def target(self) -> Target:
        """The target that `compile` was asked for."""
        if self.record.target is None:
            raise ConfigError(f"{self.folder} has no target yet", hint="run `edgecompress compile` first")
        return self.record.target

    def choose_target(self, chosen: Target) -> None:
        """Compile for this target from now on."""
        self.record = self.record.model_copy(update={"target": chosen})

    def key(self, stage: str) -> str:
        """The key a finished stage was recorded under. Raises ConfigError when it is not done."""
        done = self.record.stages.get(stage)
        if done is None:
            raise ConfigError(
                f"{self.folder}: the stage {stage!r} is not done", hint=f"run `edgecompress {stage}` first"
            )
        return done.key

    def has(self, stage: str) -> bool:
        """True when a stage is done."""
        return stage in self.record.stages

    @contextmanager
    def stage(
        self, name: str, inputs: dict[str, Any], *results: str, intact: Callable[[], bool] = lambda: True
    ) -> Iterator[str | None]:
        """Yield the key to work under, or None when `results` were made from the same inputs, and are still `intact`.

        Leaving the block without an error records the stage as done, and forgets what was made from its old results.
        """
        key = _digest({"code": _code_fingerprint(), **inputs})
        done = self.record.stages.get(name)
        there = all((self.folder / result).exists() for result in results)
        if done is not None and done.key == key and there and intact():
            self.observer.stage_done(name, done.seconds, reused=True)
            yield None
            return
        self.observer.stage_started(name)
        start = time.monotonic()
        yield key
        seconds = time.monotonic() - start
        names = list(self.record.stages)
        earlier = names[: names.index(name)] if name in names else names
        stages = {stage: self.record.stages[stage] for stage in earlier}
        stages[name] = StageRecord(key=key, seconds=round(seconds, 3))
        self.record = self.record.model_copy(update={"stages": stages})
        self.write("run.json", self.record)
        self.observer.stage_done(name, seconds, reused=False)

    def write(self, name: str, value: BaseModel) -> None:
        """Write a value as JSON, whole or not at all."""
        files.write_whole(self.folder / name, value.model_dump_json(indent=2) + "\n")

    def evaluation(self) -> Samples | None:
        """The samples to score, or None when the recipe brings no data."""
        path = self.folder / "model" / "evaluation.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            inputs = {name.removeprefix("input:"): arrays[name] for name in arrays.files if name.startswith("input:")}
            return Samples(inputs=inputs, labels=arrays["labels"] if "labels" in arrays.files else None)

    def bundle(self) -> bundle.Bundle:
        """Load what `compile` wrote."""
        return bundle.load(self.folder / "bundle")

    def has_whole_bundle(self) -> bool:
        """True when the bundle is there and holds what was compiled."""
        try:
            return not self.bundle().changed_files()
        except ConfigError:
            return False

    def read(self, name: str, kind: type[T], *, by: str) -> T:
        """Read a value that the stage `by` wrote. Raises ConfigError when it is not there or damaged."""
        return _read(self.folder / name, kind, by=by)


def _read(path: Path, kind: type[T], *, by: str) -> T:
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} does not exist", hint=f"run `edgecompress {by}` first") from error
    except ValidationError as error:
        raise ConfigError(f"{path} is damaged: {first_problem(error)}", hint="start a new run") from error


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _code_fingerprint() -> str:
    """A hash of our own sources: a stage done by another version of the program is not up to date."""
    digest = hashlib.sha256(edgecompress.__version__.encode())
    for folder in (shipped.PACKAGE, shipped.folder("device_runtime")):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in OWN_SOURCES):
            digest.update(path.read_bytes())
    return digest.hexdigest()
