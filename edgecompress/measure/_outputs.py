"""Outputs to compare: of the device, of the bundle's host program, of ONNX Runtime, on the same samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.values import Array, Model, Progress, TensorSpec

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Inputs = Mapping[str, Array]
Outputs = dict[str, Array]

HOST_BATCH = 256
_answers: WeakKeyDictionary[Device, dict[str, Outputs]] = WeakKeyDictionary()


def count(inputs: Inputs) -> int:
    """How many samples the arrays (n, …) hold."""
    return len(next(iter(inputs.values())))


def one(inputs: Inputs, index: int) -> dict[str, Array]:
    """The inputs of one sample: arrays of spec.shape[1:]."""
    return {name: values[index] for name, values in inputs.items()}


def of_device(device: Device, bundle: Bundle, inputs: Inputs, progress: Progress) -> Outputs:
    """Run every sample on the device once; outputs as (n, *spec.shape[1:]).

    A device is slow, and accuracy and fidelity ask for the same samples: what this device answered to the same
    inputs under the same build is not asked for again, so both speak of the same inferences.
    """
    known = _answers.setdefault(device, {})
    key = bundle.manifest.build_id + _digest(inputs)
    if key not in known:
        answers = [device.run(sample).outputs for sample in _each(inputs, "run samples on the device", progress)]
        known[key] = _stack(answers, bundle.manifest.outputs)
    return known[key]


def of_host(bundle: Bundle, inputs: Inputs, progress: Progress) -> Outputs:
    """Run every sample through the bundle's host program, the reference of every device."""
    total = count(inputs)
    parts = []
    for start in range(0, total, HOST_BATCH):
        progress("run samples on the host", start, total)
        parts.append(bundle.run_on_host({name: values[start : start + HOST_BATCH] for name, values in inputs.items()}))
    progress("run samples on the host", total, total)
    return {spec.name: np.concatenate([part[spec.name] for part in parts]) for spec in bundle.manifest.outputs}


def of_onnxruntime(model: Model, inputs: Inputs, progress: Progress, names: tuple[str, ...] = ()) -> Outputs:
    """Run every sample through ONNX Runtime: one thread, graph optimisation off.

    Off, every node of the QDQ graph is computed as the ONNX specification defines it. On, ONNX Runtime fuses nodes
    into integer kernels of its own, which differ from one CPU and release to the next. Gives the model's outputs as
    (n, *spec.shape[1:]), or the values `names` of the graph as (n, *shape).
    """
    session = _session(model, names)
    asked = names or tuple(spec.name for spec in model.outputs)
    answers = []
    for sample in _each(inputs, "run samples under ONNX Runtime", progress):
        feed = {spec.name: _shaped(sample[spec.name], spec) for spec in model.inputs}
        answers.append(dict(zip(asked, session.run(asked, feed), strict=True)))
    if names:
        return {name: np.stack([answer[name] for answer in answers]) for name in names}
    return _stack(answers, model.outputs)


def _session(model: Model, names: tuple[str, ...]) -> InferenceSession:
    import onnx
    import onnxruntime

    graph = onnx.ModelProto()
    graph.CopyFrom(model.graph)
    present = {output.name for output in graph.graph.output}
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def onnxruntime_name() -> str:
    """Name the instrument with its version and settings, for a measurement."""
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}, one thread, graph optimisation off"


def top1(outputs: Outputs, spec: TensorSpec) -> NDArray[np.int64]:
    """The class of each sample: the index of the first largest element of the output `spec`."""
    values = outputs[spec.name]
    classes: NDArray[np.int64] = np.argmax(values.reshape(len(values), -1), axis=1)
    return classes


def _each(inputs: Inputs, what: str, progress: Progress) -> Iterator[dict[str, Array]]:
    total = count(inputs)
    for index in range(total):
        progress(what, index, total)
        yield one(inputs, index)
    progress(what, total, total)


def _shaped(values: Array, spec: TensorSpec) -> Array:
    return np.ascontiguousarray(values, dtype=spec.dtype).reshape(spec.shape)


def _stack(answers: list[Outputs], specs: tuple[TensorSpec, ...]) -> Outputs:
    return {
        spec.name: np.stack([_shaped(answer[spec.name], spec).reshape(spec.shape[1:]) for answer in answers])
        for spec in specs
    }


def _digest(inputs: Inputs) -> str:
    digest = hashlib.sha256()
    for name, values in sorted(inputs.items()):
        digest.update(f"{name} {values.dtype} {values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
