"""compress/distill*: the losses are those of their papers, and every method gives a network that ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import digits
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from edgecompress import models
from edgecompress.compress import (
    _taps,
    _teachers,
    distill,
    distill_chain,
    distill_ensemble,
    distill_margin,
    distill_self,
    torch_graph,
)
from edgecompress.compress._boundary import Boundary, other_classes, to_boundary
from edgecompress.compress._distillation import mixed, soft_distance
from edgecompress.compress._ensemble import stacking_weights, votes
from edgecompress.compress._features import attention_distance, hint_distance
from edgecompress.compress.training.samples import Batch
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Context, Finding, Model, no_progress
from edgecompress.measure.networks import score, size
from edgecompress.models import onnx_file

NETWORKS = Path(__file__).parents[2] / "examples" / "digits"
SHORT = {"epochs": 1, "learning_rate": 0.01, "batch_size": 256}
Apply = Callable[[Model, Mapping[str, Any], Context], Model]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("teachers")
    files = (folder / "cnn.onnx", folder / "depthwise.onnx")
    for file, network in zip(files, (digits.cnn(), digits.depthwise()), strict=True):
        onnx_file.save(network, file)
    return str(files[0]), str(files[1])


def context(**keys: Any) -> Context:
    return Context(data=digits.data(), base=NETWORKS, load_model=models.load, where="step 1", **keys)


def refusal(apply: Apply, options: Mapping[str, Any]) -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        apply(digits.cnn(), {**SHORT, **options}, context())
    return caught.value.message, caught.value.hint


def accuracy(model: Model) -> float:
    found = score.read(model, model, digits.data().evaluation, "", no_progress).value
    assert found is not None
    return found


def parameters(model: Model) -> float | None:
    return {each.metric: each.value for each in size.read(model)}["parameters"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(temperature=st.floats(0.5, 20), seed=st.integers(0, 1000))
def test_the_soft_distance_is_that_of_hinton_and_0_for_the_same_scores(temperature: float, seed: int) -> None:
    student, teacher = noise(5, 10, seed=seed).double(), noise(5, 10, seed=seed + 1).double()
    wanted = (teacher / temperature).softmax(dim=1)
    found = (student / temperature).softmax(dim=1)

    distance = soft_distance(student, wanted, temperature)

    expected = temperature**2 * (wanted * (wanted / found).log()).sum(dim=1).mean()
    assert float(distance) == pytest.approx(float(expected))
    assert float(soft_distance(teacher, wanted, temperature)) == pytest.approx(0, abs=1e-9)


def test_at_a_high_temperature_the_gradient_is_that_of_the_scores_difference() -> None:
    # Hinton et al. 2015, eq. 4, times T squared: (z - v) / classes for scores without a mean.
    teacher, student = (each - each.mean(dim=1, keepdim=True) for each in (noise(3, 10), noise(3, 10, seed=1)))
    student.requires_grad_()

    soft_distance(student.double(), (teacher.double() / 500).softmax(dim=1), 500).backward()

    assert student.grad is not None
    assert torch.allclose(3 * student.grad, (student - teacher).detach() / 10, atol=2e-3)


def test_attention_sees_places_and_neither_channels_nor_size() -> None:
    image = noise(2, 8, 4, 4)

    assert float(attention_distance(image, 3 * image[:, torch.randperm(8)])) == pytest.approx(0, abs=1e-9)
    assert float(attention_distance(image, noise(2, 5, 4, 4, seed=1))) > 0.01
    assert float(attention_distance(noise(2, 8, 8, 8), noise(2, 5, 4, 4))) > 0


def test_a_hint_is_counted_in_the_teachers_variance() -> None:
    teacher = noise(4, 8, 4, 4)

    assert float(hint_distance(teacher, teacher)) == 0
    assert float(hint_distance(10 * teacher, 0 * teacher)) == pytest.approx(float(hint_distance(teacher, 0 * teacher)))


def test_two_samples_are_mixed_with_their_labels() -> None:
    inputs = torch.eye(6)[:, :, None]
    labels = torch.arange(6)

    found = mixed(Batch(inputs=(inputs,), labels=labels, indices=labels), 6)

    assert found.varied
    assert found.labels is not None
    assert torch.equal(found.labels, found.inputs[0].squeeze(2))
    assert torch.allclose(found.labels.sum(dim=1), torch.ones(6))


def test_a_sample_crosses_the_boundary_of_a_linear_teacher_in_one_whole_step() -> None:
    teacher = nn.Linear(4, 3)
    inputs = noise(20, 4)
    scores = teacher(inputs).detach()
    target = other_classes(scores)
    assert not torch.eq(target, scores.argmax(dim=1)).any()
    wide = [(torch.tensor(-1e9), torch.tensor(1e9))]

    (moved,) = to_boundary(teacher, (inputs,), target, wide, Boundary(weight=1, steps=1, rate=1))
    (half,) = to_boundary(teacher, (inputs,), target, wide, Boundary(weight=1, steps=1, rate=0.5))

    rows = torch.arange(20)
    first = scores.argmax(dim=1)
    for samples, share in ((moved, 0.0), (half, 0.5)):
        after = teacher(samples).detach()
        gap = after[rows, first] - after[rows, target]
        before = scores[rows, first] - scores[rows, target]
        assert torch.allclose(gap, share * before, atol=3e-4)


def test_samples_at_the_boundary_stay_in_the_range_of_the_inputs() -> None:
    teacher = nn.Linear(4, 3)
    inputs = noise(20, 4).clamp(0, 1)
    bounds = [(torch.tensor(0.0), torch.tensor(1.0))]

    (moved,) = to_boundary(
        teacher, (inputs,), torch.zeros(20, dtype=torch.long), bounds, Boundary(weight=1, steps=10, rate=1)
    )

    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


def test_votes_are_shares_and_stacking_trusts_who_is_right() -> None:
    labels = torch.arange(100) % 4
    knows = 3 * functional.one_hot(labels, 4).float() + noise(100, 4)
    guesses = 3 * noise(100, 4, seed=1)

    weights = stacking_weights(torch.stack([guesses, knows]), labels)

    assert votes(torch.tensor([[[3.0, 1, 0]], [[0, 1.0, 0]], [[1, 2.0, 0]]])).tolist() == [
        pytest.approx([1 / 3, 2 / 3, 0])
    ]
    assert weights[1] > 5 * weights[0].abs()


def test_a_tap_keeps_what_flows_and_leaves_no_trace() -> None:
    module = torch_graph.to_torch(digits.cnn())
    inputs = noise(2, 1, 8, 8)
    before = module(inputs)
    code = module.code

    tap = _taps.insert(module, "residual.convolution", where="w: the teacher")
    assert torch.equal(module(inputs), before)
    assert tap.value.shape == (2, 32, 4, 4)
    _taps.remove(module)

    assert module.code == code


def test_a_student_of_the_entering_networks_channels_learns_from_it() -> None:
    found: list[Finding] = []
    options = {"width": 0.5, "epochs": 4, "learning_rate": 0.01, "mix": True}

    student = distill.apply(digits.cnn(), options, context(record=found.append))

    assert (student.inputs, student.outputs) == (digits.cnn().inputs, digits.cnn().outputs)
    assert accuracy(student) > 0.93
    assert 5000 < (parameters(student) or 0) < 7000
    assert [step.method for step in student.steps] == ["distill"]
    assert found[0].title == "Training: cnn, student"
    onnx.checker.check_model(student.graph)


@pytest.mark.parametrize(
    "options",
    [
        {"targets": "hard", "labels_weight": 0.0},
        {"targets": "outputs", "hints": ["residual.convolution", "hidden"]},
        {"attention": ["second.convolution=residual.convolution"], "start": "scratch", "mix": True},
    ],
    ids=["hard", "outputs and hints", "attention"],
)
def test_other_targets_and_inner_layers_can_be_learned(options: dict[str, Any]) -> None:
    student = distill.apply(digits.cnn(), {**SHORT, "width": 0.25, **options}, context())

    assert student.outputs == digits.cnn().outputs
    assert not any("tap" in node.name for node in student.graph.graph.node)


def test_several_teachers_are_weighed(teachers: tuple[str, str]) -> None:
    one = _teachers.load(digits.cnn(), teachers, (1.0, 3.0), context())
    assert one.weights.tolist() == [0.25, 0.75]

    student = distill.apply(digits.cnn(), {**SHORT, "width": 0.25, "teachers": teachers}, context())

    assert student.steps[-1].options["teachers"] == teachers


@pytest.mark.parametrize(
    ("apply", "options", "trainings"),
    [
        (distill_chain.apply, {"widths": [0.75, 0.5], "width": 0.25}, ["assistant 1", "assistant 2", "student"]),
        (distill_chain.apply, {"assistants": ["networks:cnn"], "width": 0.25}, ["assistant 1", "student"]),
        (distill_self.apply, {"generations": 2}, ["generation 1", "generation 2"]),
        (distill_margin.apply, {"width": 0.25, "boundary_steps": 2}, ["student"]),
    ],
    ids=["widths", "assistants", "self", "margin"],
)  # fmt: skip
def test_a_method_trains_its_networks_in_order(apply: Apply, options: dict[str, Any], trainings: list[str]) -> None:
    found: list[Finding] = []

    taught = apply(digits.cnn(), {**SHORT, **options}, context(record=found.append))

    assert taught.outputs == digits.cnn().outputs
    assert [each.title for each in found if "accuracy" not in each.title] == [
        f"Training: cnn, {it}" for it in trainings
    ]


@pytest.mark.parametrize("combine", ["mean", "vote", "stacking"])
def test_an_ensemble_is_distilled_into_one_network(teachers: tuple[str, str], combine: str) -> None:
    options = {**SHORT, "teachers": teachers, "combine": combine, "student": "networks:student"}

    taught = distill_ensemble.apply(digits.cnn(), options, context())

    assert (parameters(taught) or 0) < 1500


def test_an_interrupted_chain_ends_with_the_same_student(tmp_path: Path) -> None:
    options = {**SHORT, "widths": [0.5], "width": 0.25}

    def interrupt(what: str, done: int, total: int) -> None:
        if what.startswith("train cnn, student") and done == 3:
            raise KeyboardInterrupt

    whole = distill_chain.apply(digits.cnn(), options, context())
    with pytest.raises(KeyboardInterrupt):
        distill_chain.apply(digits.cnn(), options, context(scratch=tmp_path, progress=interrupt))
    resumed = distill_chain.apply(digits.cnn(), options, context(scratch=tmp_path))

    assert resumed.graph.SerializeToString(deterministic=True) == whole.graph.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("apply", "options", "message", "hint"),
    [
        (
            distill.apply,
            {"width": 0.5, "student": "networks:student"},
            'step 1: width = 0.5 narrows the entering network; student = "networks:student" is another one',
            "give `student` or `width`",
        ),
        (
            distill.apply,
            {"student": "digits:sample"},
            "step 1: student digits:sample: digits has no function 'sample'",
            "functions there: load_digits, samples",
        ),
        (
            distill.apply,
            {"student": "digits:samples"},
            "step 1: student digits:samples returned tuple",
            "return a torch.nn.Module",
        ),
        (
            distill.apply,
            {"width": 0.5, "teacher_weights": [1.0, 2.0]},
            "step 1: teacher_weights = [1.0, 2.0] for 1 teachers",
            "give each teacher a weight, none below 0",
        ),
        (
            distill.apply,
            {"width": 0.5, "hints": ["residual.convolutio"]},
            "step 1: the teacher has no layer 'residual.convolutio'",
            "did you mean 'residual.convolution'?",
        ),
        (
            distill.apply,
            {"width": 0.5, "attention": ["hidden"]},
            "step 1: training cnn, student: attention hidden: a layer without places has no attention",
            "choose convolutions; `hints` take any layer",
        ),
        (
            distill_chain.apply,
            {"width": 0.5},
            "step 1: a chain has assistants; neither of `assistants` and `widths` is there",
            "give `assistants` or `widths`; a teacher alone is the method distill",
        ),
        (
            distill_chain.apply,
            {"width": 0.5, "widths": [0.4]},
            "step 1: widths = [0.4] and width = 0.5 do not fall from 1 to above 0",
            "list the widest assistant first, each wider than the student",
        ),
    ],
    ids=["both", "no function", "no module", "weights", "layer", "places", "no assistants", "widths"],
)
def test_options_that_cannot_be_meant_are_refused(
    apply: Apply, options: dict[str, Any], message: str, hint: str
) -> None:
    assert refusal(apply, options) == (message, hint)


def test_a_teacher_with_other_outputs_or_that_is_quantized_is_refused(tmp_path: Path) -> None:
    few = torch_graph.to_onnx(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), like=digits.cnn())
    onnx_file.save(few, tmp_path / "few.onnx")
    int8 = models.load(Path(__file__).parents[2] / "examples/mlperf_tiny/ic_resnet8_int8.onnx")

    assert refusal(distill.apply, {"width": 0.5, "teachers": [str(tmp_path / "few.onnx")]}) == (
        f"step 1: the teacher {tmp_path / 'few.onnx'} has the outputs float32 (1, 4); cnn has float32 (1, 10)",
        "teachers and students take the same samples and tell the same classes apart",
    )
    with pytest.raises(ModelError, match="is quantized"):
        distill.apply(int8, {"width": 0.5}, context())
