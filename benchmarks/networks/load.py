"""Load the networks that benchmarks and tests run on Linux boards: those of MLPerf Tiny, and those of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.networks import export
from edgecompress import models
from edgecompress.compress import static_int8
from edgecompress.core.values import Context, Data, Model, Samples

Precision = Literal["float32", "int8"]

TINY = Path(__file__).resolve().parents[2] / "examples" / "mlperf_tiny"
TINY_NAMES = ("kws_dscnn", "vww_mobilenetv1_025", "ic_resnet8", "ad_autoencoder", "sww_stream")
NAMES = (*TINY_NAMES, *export.NAMES)
CALIBRATION_SAMPLES = 4


def load(name: str, precision: Precision, folder: Path) -> Model:
    """Load a network; those defined in torch are exported into `folder` once, and quantized with seeded noise."""
    if name in TINY_NAMES:
        return models.load(TINY / f"{name}_{'int8' if precision == 'int8' else 'fp32'}.onnx")
    path = folder / f"{name}.onnx"
    model = models.load(path if path.exists() else export.write(name, folder))
    if precision == "float32":
        return model
    samples = noise(model, CALIBRATION_SAMPLES, seed=0)
    return static_int8.apply(model, {}, Context(data=Data(calibration=samples, evaluation=samples)))


def noise(model: Model, count: int, seed: int) -> Samples:
    """Draw samples: float32 from the normal distribution, integers over their type's whole range."""
    draw = np.random.default_rng(seed)
    return Samples(
        inputs={
            spec.name: draw.standard_normal((count, *spec.shape[1:])).astype(np.float32)
            if spec.dtype == "float32"
            else draw.integers(-128, 128, (count, *spec.shape[1:])).astype(spec.dtype)
            for spec in model.inputs
        }
    )
