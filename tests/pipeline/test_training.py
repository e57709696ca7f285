"""compress/training: the same call gives the same weights, however often it was interrupted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import digits
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgecompress.compress import torch_graph
from edgecompress.compress.training import AfterStep, Curve, TrainingOptions, train
from edgecompress.compress.training.losses import FidelityLoss
from edgecompress.compress.training.outputs import before_softmax
from edgecompress.compress.training.samples import hold_out, read
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Data, Finding, Samples

WHERE = "the step's options: training net"
STEPS_OF_AN_EPOCH = 18
"""1,258 samples train, 126 of them are held out, 64 are a batch."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, 10)
        )


def steep() -> nn.Module:
    """A network without a batch norm, whose gradients are large."""
    layer = nn.Linear(64, 20)
    nn.init.constant_(layer.weight, 100)
    return nn.Sequential(nn.Flatten(), layer, nn.Linear(20, 10))


def context(data: Data | None = None, **keys: Any) -> Context:
    return Context(data=data or digits.data(), **keys)


def trained(
    scratch: Path | None = None, *, data: Data | None = None, after_step: AfterStep | None = None, **options: Any
) -> tuple[list[Tensor], Curve]:
    module = network()
    chosen = TrainingOptions(**{"epochs": 3, "learning_rate": 0.01, **options})
    curve = train(module, context(data, scratch=scratch), chosen, name="net", after_step=after_step)
    return list(module.state_dict().values()), curve


def equal(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


def refusal(data: Data | None = None, module: nn.Module | None = None, **options: Any) -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        train(module or network(), context(data), TrainingOptions(**{"epochs": 1, **options}), name="net")
    return caught.value.message, caught.value.hint


def interrupt_at(step: int) -> AfterStep:
    def after_step(done: int, total: int) -> None:
        assert total == 3 * STEPS_OF_AN_EPOCH
        if done == step:
            raise KeyboardInterrupt

    return after_step


def unlabelled() -> Data:
    samples = digits.data().training
    assert samples is not None
    return dataclasses.replace(digits.data(), training=Samples(inputs=samples.inputs))


def test_a_seed_decides_the_weights_and_nothing_of_the_callers_changes() -> None:
    before = torch.random.get_rng_state()

    first, curve = trained()
    again, _ = trained()
    other, _ = trained(seed=1)

    assert equal(first, again)
    assert not equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert curve.epochs[-1].accuracy is not None
    assert curve.epochs[-1].accuracy > 0.85


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, optimizer: str) -> None:
    whole, curve = trained(optimizer=optimizer, schedule="one_cycle")
    for step in (5, STEPS_OF_AN_EPOCH + 1, 3 * STEPS_OF_AN_EPOCH):
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path, optimizer=optimizer, schedule="one_cycle", after_step=interrupt_at(step))

    resumed, resumed_curve = trained(tmp_path, optimizer=optimizer, schedule="one_cycle")

    assert equal(whole, resumed)
    assert resumed_curve == curve


def test_a_training_that_is_done_is_not_repeated_unless_something_changed(tmp_path: Path) -> None:
    first, _ = trained(tmp_path)
    again, _ = trained(tmp_path, after_step=interrupt_at(1))

    assert equal(first, again)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, learning_rate=0.02, after_step=interrupt_at(1))
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, data=digits.data(), seed=1, after_step=interrupt_at(1))


def test_a_damaged_checkpoint_starts_the_training_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole, _ = trained(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:2000])

    assert equal(trained(tmp_path)[0], whole)
    assert caplog.messages == [f"the checkpoint {file} is damaged; the training starts again"]


def test_the_best_epochs_weights_are_kept_and_patience_ends_early() -> None:
    weights, curve = trained(epochs=12, learning_rate=0.08, schedule="constant", patience=2)

    losses = [epoch.held_out_loss for epoch in curve.epochs]
    assert curve.best == 1 + losses.index(min(each for each in losses if each is not None))
    assert len(curve.epochs) == curve.best + 2
    assert equal(weights, trained(epochs=curve.best, learning_rate=0.08, schedule="constant")[0])


def test_without_held_out_samples_the_last_epoch_is_kept() -> None:
    curve = trained(held_out=0, patience=1)[1]

    assert curve.best == len(curve.epochs) == 3
    assert curve.epochs[0].held_out_loss is None


def test_no_epoch_is_the_best_before_the_network_has_its_final_form() -> None:
    module = network()
    options = TrainingOptions(epochs=4, learning_rate=0.3, schedule="constant", optimizer="sgd")

    curve = train(module, context(), options, name="net", best_from=0.75)

    assert curve.best >= 3


def test_held_out_samples_are_of_every_class() -> None:
    samples = read(context(), "net", torch.device("cpu"))

    training, held_out = hold_out(samples, 0.1, seed=3)

    assert len(held_out) == 126
    assert samples.labels is not None
    assert set(torch.bincount(samples.labels[held_out]).tolist()) <= {12, 13}
    assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(1258))


def test_fidelity_teaches_a_damaged_network_its_old_answers_without_labels() -> None:
    given = digits.cnn()
    module = torch_graph.to_torch(given)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += (
                0.2 * parameter.std() * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            )
    found: list[Finding] = []
    options = TrainingOptions(loss="fidelity", epochs=2)

    curve = train(module, context(unlabelled(), record=found.append), options, name="net", given=given)

    assert curve.epochs[-1].accuracy is None
    assert curve.epochs[-1].held_out_loss is not None
    assert curve.epochs[-1].held_out_loss < 0.05
    assert [finding.title for finding in found] == ["Training: net"]


def test_a_softmax_is_passed_over_while_it_trains_and_stands_again_afterwards() -> None:
    module = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1)))
    inputs = torch.ones(2, 4)
    probabilities = module(inputs)

    with before_softmax(module) as softmaxes:
        scores = module(inputs)

    assert softmaxes == {0}
    assert torch.equal(scores.softmax(dim=1), probabilities)
    assert torch.equal(module(inputs), probabilities)


def test_fidelity_does_not_see_what_a_softmax_does_not_see() -> None:
    layer = nn.Linear(4, 3)
    reference = torch.fx.symbolic_trace(nn.Sequential(layer, nn.Softmax(dim=1)))
    loss = FidelityLoss(reference)
    samples = Samples(inputs={"x": np.eye(4, dtype=np.float32)})
    everything = read(context(Data(calibration=samples, evaluation=samples)), "net", torch.device("cpu"))
    loss.prepare(everything, (), "net")
    batch = everything.batch(torch.arange(4))
    scores = layer(batch.inputs[0]).detach()

    assert float(loss((scores,), batch)) == pytest.approx(0, abs=1e-12)
    assert float(loss((scores + 7,), batch)) == pytest.approx(0, abs=1e-10)
    assert float(loss((2 * scores,), batch)) > 0.1


def test_mixed_precision_trains_too() -> None:
    accuracy = trained(mixed_precision=True)[1].epochs[-1].accuracy

    assert accuracy is not None
    assert accuracy > 0.8


def test_no_epochs_need_no_data() -> None:
    assert train(network(), Context(), TrainingOptions(epochs=0), name="net") == Curve(name="net")


def test_missing_samples_and_labels_are_said() -> None:
    with pytest.raises(ConfigError) as caught:
        train(network(), Context(), TrainingOptions(), name="net")
    assert caught.value.message == f"{WHERE} needs samples"
    assert refusal(unlabelled()) == (
        f"{WHERE} needs labels, and the data has none",
        'name them with `labels` in [data], or set loss = "fidelity" where the step has it',
    )
    one = Samples(inputs={"image": np.zeros((1, 1, 8, 8), np.float32)}, labels=np.zeros(1, np.int64))
    assert refusal(Data(calibration=one, evaluation=one))[0] == f"{WHERE} needs at least 2 samples; there is 1"


def test_labels_that_the_network_cannot_tell_are_refused() -> None:
    few = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    image = nn.Conv2d(1, 2, 3)

    assert refusal(module=few) == (
        f"{WHERE}: the labels go from 0 to 9; the network tells 4 classes apart",
        "number the classes from 0, in the order of the network's output",
    )
    assert refusal(module=image) == (
        f"{WHERE}: labels train a classifier with an output of the shape (n, classes); this one has (n, 2, 6, 6)",
        'loss = "fidelity" trains any network, without labels',
    )


def test_a_loss_that_is_no_number_names_the_epoch_and_the_batch() -> None:
    message, hint = refusal(module=steep(), learning_rate=1e20, optimizer="sgd")

    assert re.fullmatch(re.escape(f"{WHERE}: the loss is ") + r"(nan|inf) in epoch 1, batch \d", message)
    assert hint == "lower learning_rate (it is 1e+20)"


def test_weights_that_the_last_step_broke_are_found() -> None:
    assert refusal(module=steep(), learning_rate=1e38, optimizer="sgd", held_out=0, batch_size=2000) == (
        f"{WHERE}: weights are NaN or infinite after epoch 1",
        "lower learning_rate (it is 1e+38)",
    )


def test_a_batch_that_does_not_fit_into_memory_is_refused_before_it_runs() -> None:
    count = 4_000_000
    image = np.zeros((1, 1, 8, 8), np.float32)
    many = np.lib.stride_tricks.as_strided(image, (count, 1, 8, 8), (0, 256, 32, 4), writeable=True)
    samples = Samples(inputs={"image": many}, labels=np.zeros(count, np.int64))
    wide = nn.Sequential(nn.Conv2d(1, 4000, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4000, 10))

    message, hint = refusal(Data(calibration=samples, evaluation=samples), module=wide, batch_size=count, held_out=0)

    pattern = r" with batches of 4,000,000 takes at least [\d,]{15,} bytes of memory; [\d,]+ are free"
    assert re.fullmatch(re.escape(WHERE) + pattern, message)
    assert re.fullmatch(r"set a smaller batch_size: [\d,]+ leaves room", str(hint))


def test_a_gpu_that_is_not_there_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    assert refusal(device="cuda")[1] == 'device = "auto" takes the CPU where there is no GPU'
