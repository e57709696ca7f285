"""Does the device compute what it should: byte for byte as the host program, and how near to ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.values import Array, Evidence, Measurement, Measurements, Model, TensorSpec
from edgecompress.measure import _clock, _graph, _outputs, _rounding

LEAST_CLASSES = 2
LARGEST_UNEXPLAINED_LSB = 1
"""A larger distance from ONNX Runtime comes with its reason: the layers are compared."""
MOST_EXPLAINED = 8
"""On so many samples, those with the largest distance."""


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """The device's outputs, and the conditions and origin that all figures share."""

    outputs: _outputs.Outputs
    how: _clock.How
    description: str
    samples: str

    def measure(
        self,
        metric: str,
        unit: str,
        value: float,
        samples: tuple[float, ...],
        other: str,
        conditions: Mapping[str, str],
    ) -> Measurement:
        return Measurement(
            metric=metric,
            unit=unit,
            value=value,
            samples=samples,
            how=self.how,
            instrument=f"{self.description} against {other}",
            conditions={"samples": self.samples, **conditions},
        )

    def absent(self, metric: str, unit: str, why: str) -> Measurement:
        return Measurement(metric=metric, unit=unit, value=None, how=self.how, missing=why)


def read(device: Device, bundle: Bundle, evidence: Evidence) -> Measurements:
    """Compare the device's outputs on the test vectors and the evaluation samples.

    `device_mismatched_bytes` against the host program: the sum over the samples. `onnxruntime_max_lsb` against ONNX
    Runtime on the compiled QDQ graph: the largest difference in quantization steps of the output, and in the
    conditions, where a softmax makes the output, how many of them one step of its input can make; where it is more than
    one step, also the `reason`, from comparing the layers (_rounding.py).
    `onnxruntime_max_relative_error` where the output has no step: the largest difference in a sample divided by its
    largest magnitude; the conditions give what is `stated` for such a bundle. `onnxruntime_top1_agreement`: the
    fraction of samples with the same class.
    """
    parts = [bundle.vectors()[0]]
    if evidence.evaluation is not None and evidence.evaluation.count:
        parts.append(dict(evidence.evaluation.inputs))
    on_device = _join([_outputs.of_device(device, bundle, part, evidence.progress) for part in parts])
    inputs = _join(parts)
    on_host = _outputs.of_host(bundle, inputs, evidence.progress)
    reference = _outputs.of_onnxruntime(evidence.model, inputs, evidence.progress)
    compared = _Compared(
        outputs=on_device, how=_clock.how(device), description=device.description, samples=_sample_words(parts)
    )
    mismatch = _mismatched_bytes(compared, on_host)
    distance, *relative = _distance(compared, reference, evidence.model, bundle.manifest.stated_relative_error)
    return Measurements(
        metrics=(
            mismatch,
            _explained(distance, mismatch, bundle, evidence, inputs),
            *relative,
            _agreement(compared, reference, evidence.model.outputs[0]),
        )
    )


def _join(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _sample_words(parts: list[dict[str, Array]]) -> str:
    words = [f"{_outputs.count(parts[0]):,} test vectors"]
    words += [f"{_outputs.count(part):,} evaluation samples" for part in parts[1:]]
    return " and ".join(words)


def _mismatched_bytes(compared: _Compared, on_host: _outputs.Outputs) -> Measurement:
    wrong = sum(
        (_bytes(values) != _bytes(on_host[name])).sum(axis=1, dtype=np.int64)
        for name, values in compared.outputs.items()
    )
    samples = _floats(np.asarray(wrong))
    return compared.measure("device_mismatched_bytes", "bytes", sum(samples), samples, "the bundle's host program", {})


def _distance(
    compared: _Compared, reference: _outputs.Outputs, model: Model, stated_relative_error: float
) -> tuple[Measurement, ...]:
    steps = _graph.output_steps(model)
    unknown = [name for name, step in steps.items() if step is None]
    if not unknown:
        known = {name: step for name, step in steps.items() if step is not None}
        return (_max_lsb(compared, reference, known, _step_words(model, known)),)
    why = f"the output {unknown[0]} is not quantized; see onnxruntime_max_relative_error"
    relative = _max_relative_error(compared, reference, stated_relative_error)
    return (compared.absent("onnxruntime_max_lsb", "LSB", why), relative)


def _explained(
    distance: Measurement, mismatch: Measurement, bundle: Bundle, evidence: Evidence, inputs: dict[str, Array]
) -> Measurement:
    """Add the reason to a distance that needs one."""
    if distance.value is None or distance.value <= LARGEST_UNEXPLAINED_LSB:
        return distance
    if mismatch.value:
        told = {"reason": "the device does not reproduce the host program; see device_mismatched_bytes"}
    else:
        worst = np.argsort(-np.array(distance.samples), kind="stable")[:MOST_EXPLAINED]
        chosen = {name: values[worst] for name, values in inputs.items()}
        differences = _rounding.compare_layers(bundle, evidence.model, chosen, evidence.progress)
        told = {
            "reason": _rounding.reason(differences),
            "layers compared on": f"the {len(worst)} samples with the largest difference",
        }
    return distance.model_copy(update={"conditions": {**distance.conditions, **told}})


def _step_words(model: Model, steps: dict[str, float]) -> dict[str, str]:
    reach = {f"softmax before {name}": _graph.softmax_reach(model, name, step) for name, step in steps.items()}
    return {f"step of {name}": f"{step:g}" for name, step in steps.items()} | {
        name: words for name, words in reach.items() if words is not None
    }


def _max_lsb(
    compared: _Compared, reference: _outputs.Outputs, steps: dict[str, float], conditions: dict[str, str]
) -> Measurement:
    each = {name: np.rint(_difference(compared, reference, name) / step) for name, step in steps.items()}
    samples = _floats(np.maximum.reduce(list(each.values())))
    other = _outputs.onnxruntime_name()
    return compared.measure("onnxruntime_max_lsb", "LSB", max(samples), samples, other, conditions)


def _max_relative_error(compared: _Compared, reference: _outputs.Outputs, stated: float) -> Measurement:
    each = []
    for name in compared.outputs:
        size = np.abs(_flat(reference[name])).max(axis=1)
        error = _difference(compared, reference, name)
        each.append(np.divide(error, size, out=error.copy(), where=size > 0))
    samples = _floats(np.maximum.reduce(each))
    missed = f"; missed by {sum(not error <= stated for error in samples)} of {len(samples)} samples"
    return compared.measure(
        "onnxruntime_max_relative_error",
        "ratio",
        max(samples),
        samples,
        _outputs.onnxruntime_name(),
        {
            "relative to": "the largest magnitude in the sample's output",
            "stated": f"at most {stated:g}{'' if max(samples) <= stated else missed}",
        },
    )


def _agreement(compared: _Compared, reference: _outputs.Outputs, spec: TensorSpec) -> Measurement:
    name, unit = "onnxruntime_top1_agreement", "fraction"
    if spec.elements < LEAST_CLASSES:
        return compared.absent(name, unit, f"the output {spec.name} has one element; top-1 needs several")
    same = _outputs.top1(compared.outputs, spec) == _outputs.top1(reference, spec)
    rule = {"rule": f"first largest element of the output {spec.name}"}
    return compared.measure(name, unit, float(same.mean()), _floats(same), _outputs.onnxruntime_name(), rule)


def _difference(compared: _Compared, reference: _outputs.Outputs, name: str) -> NDArray[np.float64]:
    """The largest absolute difference of each sample in one output, as (n,)."""
    difference: NDArray[np.float64] = np.abs(_flat(compared.outputs[name]) - _flat(reference[name])).max(axis=1)
    return difference


def _flat(values: Array) -> NDArray[np.float64]:
    return values.reshape(len(values), -1).astype(np.float64)


def _bytes(values: Array) -> NDArray[np.uint8]:
    return np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)


def _floats(values: Array) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
