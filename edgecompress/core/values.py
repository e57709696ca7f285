"""The values that flow from stage to stage. All are frozen; those that live in files are pydantic models.

Model -> Bundle (core/bundle.py) -> Device (core/device.py) -> Measurement -> Report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    import onnx

    from edgecompress.core.counting import CountInstructions

Array = NDArray[Any]

Optimize = Literal["speed", "size", "ram", "balanced"]
"""What a compilation is to save: instructions, flash, RAM, or some of each.

The outputs are the same bytes, but for float networks on Linux, where `speed` and `balanced` use Winograd convolutions.
"""

Arithmetic = Literal["onnx", "tflite"]

Scalar = str | int | float | bool
Option = Scalar | tuple[Scalar, ...]
"""What an option of a compression step may be in a recipe."""


class FileValue(BaseModel):
    """A frozen value that is read from or written to a file; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def first_problem(error: ValidationError) -> str:
    """Say in one line what a file's value is wrong about: the first wrong key and why."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    return f"{key}: {problem['msg']}" if key else problem["msg"]


class TensorSpec(FileValue):
    """Name, shape and type of an input or output; scale and zero point when it is quantized per tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: Literal["float32", "int8", "uint8", "int16", "int32", "int64", "bool"]
    scale: float | None = None
    zero_point: int | None = None

    @property
    def elements(self) -> int:
        """How many numbers the tensor holds."""
        return math.prod(self.shape)

    @property
    def byte_size(self) -> int:
        """How many bytes the tensor takes."""
        return self.elements * np.dtype(self.dtype).itemsize


class AppliedStep(FileValue):
    """One compression step that a model went through, with the options it ran with.

    `stored_bytes` is what the parameters take in a form that only storage knows (entropy-coded, sparse), None when the
    graph's own tensors are all there is.
    """

    method: str
    options: dict[str, Option]
    stored_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network: its ONNX graph, checked, with every shape bound and batch 1.

    `arithmetic` says whose definition holds where ONNX and TFLite give int8 results that are a step apart: a change of
    scale, the mean of an image, the bounds of an activation.
    """

    name: str
    graph: onnx.ModelProto
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    steps: tuple[AppliedStep, ...] = ()
    arithmetic: Arithmetic = "onnx"

    @property
    def is_quantized(self) -> bool:
        """True when the graph is in QDQ form (has QuantizeLinear or DequantizeLinear nodes)."""
        return any(node.op_type in {"QuantizeLinear", "DequantizeLinear"} for node in self.graph.graph.node)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """n samples: every input tensor by name as an array (n, *spec.shape[1:]); labels (n,) or None."""

    inputs: Mapping[str, Array]
    labels: NDArray[np.int64] | None = None

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True, kw_only=True)
class Data:
    """What a recipe brings: samples to calibrate with, to score, to train with, and a note on their origin.

    `training` is None when the recipe keeps none apart: then the samples that calibrate also train.
    """

    calibration: Samples
    evaluation: Samples
    training: Samples | None = None
    note: str = ""


Progress = Callable[[str, int, int], None]
"""Called as (what, done, total) on long work; total 0 when it is unknown."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""


class Series(FileValue):
    """One line or group of bars: a figure for each place on the x axis, which is numbers or names."""

    name: str
    x: tuple[float, ...] | tuple[str, ...]
    y: tuple[float, ...]


class Finding(FileValue):
    """Something that a compression step measured and that people would rather look at: the report draws it.

    The labels of the axes carry the units.
    """

    title: str
    kind: Literal["lines", "bars"]
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    note: str = ""


Record = Callable[[Finding], None]
"""Called with what a step found."""


def forget(finding: Finding) -> None:
    """Keep nothing."""


LoadModel = Callable[[Path], Model]
"""Reads a model file of any format. Raises ModelError."""


def load_nothing(path: Path) -> Model:
    """Read no file: whoever applies a step that names other networks says how to read them."""
    raise NotImplementedError(f"this context reads no model files, {path} neither")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a compression method gets besides the model and its options.

    `where` names the place that the options come from (a recipe and the number of its step) in errors about them.
    `base` is the folder that relative paths among the options are taken from. `scratch` is a folder that outlives an
    interruption of this step: a checkpoint lies there, and the step finds it when it runs again with the same inputs.
    Who needs it makes it; None when nothing is to be kept. `channel_multiple` is what the target asks channel counts
    to be a multiple of, `count_instructions` counts there what layers take: None when there is no target.
    `record` takes what is worth a plot.
    """

    data: Data | None = None
    where: str = "the step's options"
    base: Path = Path()
    scratch: Path | None = None
    channel_multiple: int = 1
    count_instructions: CountInstructions | None = None
    progress: Progress = field(default=no_progress)
    record: Record = field(default=forget)
    load_model: LoadModel = field(default=load_nothing)


class Measurement(FileValue):
    """One metric with every sample and where it comes from. Never 0 for missing: `missing` says why.

    `value` is the figure to quote (the median of the samples unless the metric's module says otherwise).
    The first `warm_up` samples were taken before the steady state: value and percentiles leave them out.
    `stage` says of which stage a quality metric is (`float host`, `int8 host`, `device`).
    `void` says why a figure that was taken must not be trusted: the board throttled, its clock moved.
    """

    metric: str
    unit: str
    value: float | None
    samples: tuple[float, ...] = ()
    warm_up: int = 0
    percentiles: dict[str, float] = {}
    how: Literal["measured", "emulated", "estimated", "computed"] = "measured"
    instrument: str = ""
    stage: str | None = None
    conditions: dict[str, str] = {}
    missing: str | None = None
    void: str | None = None

    @property
    def steady(self) -> tuple[float, ...]:
        """The samples without those of the warm-up."""
        return self.samples[self.warm_up :]


class LayerMeasurement(FileValue):
    """What one layer took on the device."""

    index: int
    name: str
    op: str
    ticks: tuple[int, ...]
    instructions: float | None
    microseconds: float | None
    macs: int
    void: str | None = None


class ClockState(FileValue):
    """The clock of cores that share one (a cpufreq policy), in kHz."""

    name: str
    governor: str | None = None
    driver: str | None = None
    current_khz: int | None = None
    lowest_khz: int | None = None
    highest_khz: int | None = None


class BoardState(FileValue):
    """What a Linux board said of itself at one moment. None, or empty, where it did not tell.

    The temperature is that of the zone nearest to its limit. `throttled_bits` are the Raspberry Pi firmware's,
    `throttle_events`, `swapped_pages`, `busy_s` and `stolen_s` (CPU seconds, all cores together) and `waited_s` (some
    program had to wait for a core) count since the start of the system. `others_cores` is how many cores others kept
    busy while the measured program waited. `at_s` is the host's monotonic clock: only differences mean something.
    """

    at_s: float
    cores: int | None = None
    clocks: tuple[ClockState, ...] = ()
    temperature_c: float | None = None
    temperature_limit_c: float | None = None
    throttled_bits: int | None = None
    throttle_events: int | None = None
    load: float | None = None
    busy_s: float | None = None
    stolen_s: float | None = None
    waited_s: float | None = None
    others_cores: float | None = None
    ram_bytes: int | None = None
    available_ram_bytes: int | None = None
    swapped_pages: int | None = None


class Conditions(FileValue):
    """The board before and after the run that `run` names, and why figures of that run are void."""

    run: str
    before: BoardState
    after: BoardState
    void: str | None = None


class Measurements(FileValue):
    """What a measuring module found."""

    metrics: tuple[Measurement, ...] = ()
    layers: tuple[LayerMeasurement, ...] = ()
    conditions: tuple[Conditions, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What measuring modules compare the device with.

    `model` is the network as it was compiled, `baseline` the network that the user gave; `evaluation` the recipe's
    samples to score, None when there is no data. `repeat` is how many inferences to time, at least.
    """

    model: Model
    baseline: Model
    evaluation: Samples | None = None
    note: str = ""
    repeat: int = 20
    progress: Progress = field(default=no_progress)
