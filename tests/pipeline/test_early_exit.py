"""The step early_exit: where exits stand, what is trained, which threshold is chosen, and what comes out."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import onnxruntime
import pytest
from digits import cnn, data, depthwise
from onnx import numpy_helper

from edgecompress.compress import _exit_places, early_exit, fine_tune, static_int8, torch_graph
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Array, Context, Data, Finding, Model, Option, Samples, no_progress
from edgecompress.measure.networks import score

WHERE = "recipe.toml: steps[0].options"
TRAINED: dict[str, Option] = {"grid": 2, "epochs": 6}


@functools.cache
def with_exits() -> tuple[Model, tuple[Finding, ...]]:
    """The CNN with one exit behind its second convolution."""
    found: list[Finding] = []
    return early_exit.apply(cnn(), TRAINED, Context(data=data(), record=found.append)), tuple(found[-2:])


def outputs(model: Model, images: Array) -> Array:
    session = onnxruntime.InferenceSession(model.graph.SerializeToString())
    name = model.inputs[0].name
    return np.concatenate([session.run(None, {name: images[i : i + 1]})[0] for i in range(len(images))])


def accuracy(model: Model) -> float:
    found = score.read(model, model, data().evaluation, "", no_progress).value
    assert found is not None
    return found


def operators(model: Model) -> list[str]:
    return [node.op_type for node in model.graph.graph.node]


def test_exits_stand_behind_activation_and_pooling_of_what_all_the_rest_hangs_on() -> None:
    places = _exit_places.find(cnn())

    assert [(place.layers[0], place.value, place.macs) for place in places] == [
        ("first.convolution", "max_pool2d", 9_216),
        ("second.convolution", "relu_1", 82_944),
        ("residual.convolution", "flatten", 230_400),
        ("hidden", "relu_3", 238_592),
    ]
    assert _exit_places.total(cnn().graph) == 239_232


def test_the_curve_and_the_exits_are_recorded_and_the_accuracy_stays() -> None:
    model, (curve, shares) = with_exits()

    (chosen, end), (right, whole) = curve.series[1].x, curve.series[1].y
    assert end == 239_232 + 128 * 10
    assert chosen < 0.9 * end
    assert right > 97.5
    assert abs(right / 100 - accuracy(model)) < 1e-9
    assert whole > 98
    assert shares.series[0].x == ("exit 1", "end")
    assert sum(shares.series[0].y) == pytest.approx(100)
    assert chosen == pytest.approx(np.dot(np.array(shares.series[0].y) / 100, (82_944 + 1_280, end)))


def test_the_result_is_plain_onnx_that_torch_computes_too() -> None:
    model, _ = with_exits()
    images = data().evaluation.inputs["image"][:40]

    module = torch_graph.to_torch(model)  # compares with ONNX Runtime
    found = outputs(model, images)

    assert model.outputs == cnn().outputs
    assert operators(model)[-4:] == ["Softmax", "ReduceMax", "GreaterOrEqual", "Where"]
    assert found.shape == (40, 10)
    assert module is not None


def test_the_threshold_that_was_chosen_stands_among_the_options() -> None:
    model, (curve, _) = with_exits()

    threshold = model.steps[-1].options["threshold"]
    assert isinstance(threshold, float)
    assert curve.series[1].name == f"{threshold:.4g}, and no exit"
    assert (256 * threshold + 0.5) % 1 == 0


def test_exits_alone_leave_the_network_as_it_is() -> None:
    never = {"train": "exits", "epochs": 2, "exits": 2, "threshold": 1.0, "grid": 1}
    model = early_exit.apply(depthwise(), never, Context(data=data()))
    images = data().evaluation.inputs["image"][:60]

    np.testing.assert_allclose(outputs(model, images), outputs(depthwise(), images), rtol=0, atol=1e-4)


def test_without_labels_the_network_is_its_own_teacher() -> None:
    bare = [Samples(inputs=each.inputs) for each in (data().calibration, data().evaluation)]
    unlabelled = Data(calibration=bare[0], evaluation=bare[1])
    found: list[Finding] = []
    options: dict[str, Option] = {**TRAINED, "loss": "fidelity", "threshold": 0.9}

    early_exit.apply(cnn(), options, Context(data=unlabelled, record=found.append))

    assert "right is what the network said before" in found[-2].note
    assert found[-2].series[1].y[0] > 95


def test_static_int8_leaves_the_comparison_and_one_scale_on_both_branches() -> None:
    model, _ = with_exits()

    quantized = static_int8.apply(model, {}, Context(data=data()))

    makers = {name: node for node in quantized.graph.graph.node for name in node.output}
    selection = next(node for node in quantized.graph.graph.node if node.op_type == "Where")
    values = {each.name: numpy_helper.to_array(each) for each in quantized.graph.graph.initializer}
    taken, other = (values[makers[name].input[1]] for name in selection.input[1:])
    assert taken == other
    comparison = makers[selection.input[0]]
    assert (comparison.op_type, makers[comparison.input[0]].op_type) == ("GreaterOrEqual", "ReduceMax")
    assert makers[makers[comparison.input[0]].input[0]].op_type == "DequantizeLinear"
    assert accuracy(quantized) > 0.975


def test_what_has_exits_can_still_be_trained() -> None:
    model, _ = with_exits()

    tuned = fine_tune.apply(model, {"epochs": 1, "learning_rate": 1e-4}, Context(data=data()))

    assert operators(tuned).count("Where") == 1
    assert accuracy(tuned) > 0.97


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, f"{WHERE}: 'threshold': Input should be less than or equal to 1 (got 1.5)"),
        ({"after": ["secnd.convolution"]}, f"{WHERE}: after: no layer is called 'secnd.convolution'"),
        ({"after": ["scores"]}, f"{WHERE}: after: no exit can stand behind 'scores'"),
        ({"exits": 9}, f"{WHERE}: exits = 9, and the network has 4 places for one"),
        (
            {"grid": 8, "after": ["second.convolution"]},
            f"{WHERE}: grid = 8, and behind 'second.convolution' the image has 4x4 pixels",
        ),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Option], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        early_exit.apply(cnn(), options, Context(data=data(), where=WHERE))

    assert caught.value.message == message


def test_labels_and_samples_that_are_missing_are_named() -> None:
    bare = Samples(inputs=data().calibration.inputs)
    unlabelled = Context(data=Data(calibration=bare, evaluation=bare), where=WHERE)

    with pytest.raises(ConfigError) as missing:
        early_exit.apply(cnn(), {}, unlabelled)
    with pytest.raises(ConfigError) as nothing:
        early_exit.apply(cnn(), {}, Context(where=WHERE))

    assert missing.value.message == f"{WHERE}: training cnn with exits needs labels, and the data has none"
    assert nothing.value.message == f"{WHERE}: early_exit needs samples for cnn"


def test_only_a_float_classifier_without_exits_gets_some() -> None:
    wide = dataclasses.replace(
        cnn(), outputs=tuple(spec.model_copy(update={"shape": (1, 10, 4)}) for spec in cnn().outputs)
    )
    quantized = static_int8.apply(cnn(), {}, Context(data=data()))

    for model, message in (
        (wide, "cnn has outputs of the shapes (1, 10, 4); early_exit needs one, (1, classes)"),
        (quantized, "cnn is quantized"),
        (with_exits()[0], "cnn has early exits already"),
    ):
        with pytest.raises(ModelError) as caught:
            early_exit.apply(model, {}, Context(data=data()))
        assert caught.value.message == message
