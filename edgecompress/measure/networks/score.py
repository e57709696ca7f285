"""How well a graph does under ONNX Runtime: against the labels or, without labels, against the network as given."""

from __future__ import annotations

from edgecompress.core.errors import EdgecompressError
from edgecompress.core.values import Measurement, Model, Progress, Samples
from edgecompress.measure import _outputs

LEAST_CLASSES = 2


def read(model: Model, baseline: Model, evaluation: Samples | None, note: str, progress: Progress) -> Measurement:
    """Return top-1 `accuracy`, or `top1_agreement` with the network as given where the samples have no labels.

    Missing, with the reason, when there is nothing to score or ONNX Runtime does not run the graph.
    """
    labelled = evaluation is not None and evaluation.labels is not None
    metric = "accuracy" if labelled else "top1_agreement"
    why = _why_missing(model, evaluation)
    if why or evaluation is None:
        return Measurement(metric=metric, unit="fraction", value=None, missing=why)
    try:
        classes = _outputs.top1(_outputs.of_onnxruntime(model, evaluation.inputs, progress), model.outputs[0])
        if evaluation.labels is None:
            given = _outputs.of_onnxruntime(baseline, evaluation.inputs, progress)
            wanted = _outputs.top1(given, baseline.outputs[0])
        else:
            wanted = evaluation.labels
    except EdgecompressError:
        raise
    except Exception as error:
        # onnxruntime throws a dozen unrelated types, bare Exception among them.
        text = " ".join(str(error).split())[:200]
        return Measurement(metric=metric, unit="fraction", value=None, missing=f"ONNX Runtime does not run it: {text}")
    right = tuple(float(hit) for hit in classes == wanted)
    return Measurement(
        metric=metric,
        unit="fraction",
        value=sum(right) / len(right),
        samples=right,
        how="measured",
        instrument=_outputs.onnxruntime_name(),
        conditions={"samples": f"{len(right):,}"} | ({"data": note} if note else {}),
    )


def _why_missing(model: Model, evaluation: Samples | None) -> str:
    if evaluation is None:
        return "no samples to score: only a recipe's [data] brings them"
    if evaluation.count == 0:
        return "no sample is left to score: all of them calibrate"
    spec = model.outputs[0]
    if spec.elements < LEAST_CLASSES:
        return f"the output {spec.name} has one element; top-1 needs a score for each class"
    return ""
