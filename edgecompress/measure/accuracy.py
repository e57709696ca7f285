"""Top-1 accuracy of the network as given, of the compiled network on the host, and of the device."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgecompress.core import report
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.values import Evidence, Measurement, Measurements, TensorSpec
from edgecompress.measure import _clock, _outputs

LEAST_CLASSES = 2


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Score the evaluation samples at every stage by the same rule: the first largest element of the first output.

    A sample is 1 when its class is the label, else 0; the value is their mean. Without labelled samples, or when the
    output is not one of class scores, every stage is there as missing, with the reason.
    """
    spec = bundle.manifest.outputs[0]
    missing = _why_missing(evidence, spec)
    if missing or evidence.evaluation is None or evidence.evaluation.labels is None:
        return Measurements(metrics=tuple(_absent(stage, missing) for stage in _stages(evidence)))
    inputs, labels = evidence.evaluation.inputs, evidence.evaluation.labels
    given, compiled, on_device = _stages(evidence)
    conditions = _conditions(evidence, spec)
    of_given = _outputs.of_onnxruntime(evidence.baseline, inputs, evidence.progress)
    of_host = _outputs.of_host(bundle, inputs, evidence.progress)
    of_device = _outputs.of_device(device, bundle, inputs, evidence.progress)
    host = "the bundle's host program"
    given_classes = _outputs.top1(of_given, evidence.baseline.outputs[0])
    return Measurements(
        metrics=(
            _score(given, given_classes, labels, "measured", _outputs.onnxruntime_name(), conditions),
            _score(compiled, _outputs.top1(of_host, spec), labels, "measured", host, conditions),
            _score(
                on_device, _outputs.top1(of_device, spec), labels, _clock.how(device), device.description, conditions
            ),
        )
    )


def _stages(evidence: Evidence) -> tuple[str, str, str]:
    given = report.INT8_GIVEN if evidence.baseline.is_quantized else report.FLOAT_HOST
    compiled = report.INT8_HOST if evidence.model.is_quantized else report.FLOAT_COMPILED
    return given, compiled, report.DEVICE


def _why_missing(evidence: Evidence, spec: TensorSpec) -> str:
    samples = evidence.evaluation
    if samples is None:
        return "no samples to score: only a recipe's [data] brings them"
    if samples.labels is None:
        return "the recipe's data has no labels"
    if samples.count == 0:
        return "no sample is left to score: all of them calibrate"
    if spec.elements < LEAST_CLASSES:
        return f"the output {spec.name} has one element; top-1 needs a score for each class"
    return ""


def _conditions(evidence: Evidence, spec: TensorSpec) -> dict[str, str]:
    count = evidence.evaluation.count if evidence.evaluation else 0
    conditions = {"samples": f"{count:,}", "rule": f"first largest element of the output {spec.name}"}
    return conditions | ({"data": evidence.note} if evidence.note else {})


def _absent(stage: str, missing: str) -> Measurement:
    return Measurement(metric="accuracy", unit="fraction", value=None, stage=stage, missing=missing)


def _score(
    stage: str,
    classes: NDArray[np.int64],
    labels: NDArray[np.int64],
    how: _clock.How,
    instrument: str,
    conditions: dict[str, str],
) -> Measurement:
    right = tuple(float(hit) for hit in classes == labels)
    return Measurement(
        metric="accuracy",
        unit="fraction",
        value=sum(right) / len(right),
        samples=right,
        how=how,
        instrument=instrument,
        stage=stage,
        conditions=conditions | {"right": f"{sum(right):,.0f}"},
    )
