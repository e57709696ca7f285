"""A recipe: the TOML file that says which model, which data, which compression steps, which limits."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from edgecompress.core import toml_file, user_function
from edgecompress.core.errors import UsageError
from edgecompress.core.values import FileValue, Option

IMAGE_KEYS = ("classes", "scale", "mean", "std")


class DataSource(FileValue):
    """Where the samples come from: an .npz file, a folder of images, or a function of the user's own.

    `file`: an .npz with the array `inputs` names and, for accuracy, the array `labels` names.
    `folder`: one folder a class with PNG or JPEG files, resized to the network's input; an input is
    (pixel * scale - mean) / std. Classes are the folders' names in alphabetical order, or in that of `classes`.
    `function`: `module:function`, called without arguments; returns (inputs, labels or None), several inputs as a dict,
    or loaders: {"training": batches, "evaluation": batches}, each batch a pair. Its module is looked for in
    `module_folder` (the recipe's own folder when not given), then on PYTHONPATH.
    `training_share` of the samples train, drawn with a fixed seed and evenly over the classes; the rest is scored.
    `calibration_per_class` or `calibration_count` samples calibrate: the first ones that train or, without
    `training_share`, the first ones of the file, and then the rest is scored.
    """

    file: Path | None = None
    folder: Path | None = None
    function: str | None = Field(default=None, pattern=user_function.PATTERN)
    module_folder: Path | None = None
    inputs: str = "inputs"
    labels: str | None = None
    classes: tuple[str, ...] = ()
    scale: float = Field(default=1 / 255, gt=0)
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    training_share: float | None = Field(default=None, gt=0, lt=1)
    calibration_per_class: int | None = Field(default=None, gt=0)
    calibration_count: int | None = Field(default=None, gt=0)
    note: str = ""

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files that decide what the samples are, as far as they can be told: the .npz, the function's module."""
        if self.file is not None:
            return (self.file,)
        if self.folder is not None:
            return tuple(sorted(path for path in self.folder.glob("*/*") if path.is_file()))
        return ((self.module_folder or Path()) / _file_of(self.function or ""),)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if sum(given is not None for given in (self.file, self.folder, self.function)) != 1:
            raise ValueError("give one of `file`, `folder` and `function`")
        foreign = [key for key in IMAGE_KEYS if getattr(self, key) != type(self).model_fields[key].default]
        if self.folder is None and foreign:
            raise ValueError(f"`{foreign[0]}` is for a `folder` of images")
        if self.folder is not None and self.labels is not None:
            raise ValueError("`labels`: those of a `folder` of images are its folders")
        if min(self.std, default=0.0) <= 0 if isinstance(self.std, tuple) else self.std <= 0:
            raise ValueError("`std` must be greater than 0")
        if self.calibration_per_class is not None and self.calibration_count is not None:
            raise ValueError("give `calibration_per_class` or `calibration_count`, not both")
        return self


class Step(FileValue):
    """One compression step: a module of edgecompress/compress and its options."""

    method: str
    options: dict[str, Option] = {}

    def sources(self, base: Path) -> tuple[Path, ...]:
        """The files that the options name, by path or as `module:function`: they decide too what the step does."""
        texts = [text for value in self.options.values() for text in (value if isinstance(value, tuple) else (value,))]
        named = [base / _file_of(text) for text in texts if isinstance(text, str)]
        return tuple(path for path in named if path.is_file())


class Limits(FileValue):
    """What the result must keep; a limit that is missed ends the run with exit code 6."""

    accuracy: float | None = Field(default=None, ge=0, le=1)
    accuracy_drop: float | None = Field(default=None, ge=0, le=1)
    flash_bytes: int | None = Field(default=None, gt=0)
    ram_bytes: int | None = Field(default=None, gt=0)
    latency_instructions: int | None = Field(default=None, gt=0)
    latency_us: float | None = Field(default=None, gt=0)


class Recipe(FileValue):
    """A whole recipe. Relative paths in it are taken from the recipe's own folder.

    `model` is a model file, or `module:function` that returns a torch network; then `state` is the file with its
    tensors, and `shapes` names its inputs.
    """

    model: Path
    state: Path | None = None
    name: str | None = None
    shapes: dict[str, tuple[int, ...]] = {}
    data: DataSource | None = None
    steps: tuple[Step, ...] = ()
    limits: Limits = Limits()

    @property
    def model_sources(self) -> tuple[Path, ...]:
        """The files that decide what the network is: the model file, or the function's module and the state."""
        return (self.model.parent / _file_of(self.model.name), *([self.state] if self.state is not None else []))

    @model_validator(mode="after")
    def _state_of_a_function(self) -> Self:
        if self.state is not None and not user_function.is_name(self.model.name):
            raise ValueError('`state` goes with a model = "module:function"')
        return self


def load(path: Path) -> Recipe:
    """Read a recipe and make its paths absolute. Raises ConfigError naming the file, the key and a suggestion."""
    recipe = toml_file.load(path, Recipe, what="recipe")
    base = path.resolve().parent
    data = recipe.data
    if data is not None:
        folder = base / (data.module_folder or "")
        paths = {"file": data.file and base / data.file, "folder": data.folder and base / data.folder}
        data = data.model_copy(update={**paths, "module_folder": folder})
    state = recipe.state and base / recipe.state
    return recipe.model_copy(update={"model": base / recipe.model, "state": state, "data": data})


def load_or_wrap(source: Path) -> Recipe:
    """Read a recipe (a .toml file), or take a model file alone: no data, no steps, no limits."""
    return load(source) if source.suffix == ".toml" else Recipe(model=source.resolve())


def _file_of(name: str) -> str:
    """Return a path as it is, and that of the module of a `module:function`."""
    if not user_function.is_name(name):
        return name
    return name.partition(":")[0].replace(".", "/") + ".py"


def step(text: str) -> Step:
    """Read a step from a command line: `static_int8 ranges=mse symmetric=true`.

    A value is read as TOML would read it, and is text where that fails. Raises UsageError for anything else.
    """
    try:
        method, *options = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--step {text!r} names no method", hint="write: --step 'METHOD option=value …'") from error
    parsed = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise UsageError(f"--step {text!r}: {option!r} is no option", hint="write: option=value")
        parsed[name] = _value(value)
    return toml_file.parse({"method": method, "options": parsed}, Step, where=f"--step {text!r}")


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
