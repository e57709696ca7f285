"""compress/training: schedules, options and curves, which need no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgecompress.compress import distill
from edgecompress.compress.training import Curve, Epoch, TrainingOptions, schedules
from edgecompress.core import toml_file
from edgecompress.core.errors import ConfigError


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("steps", [1, 1, 0.1, 0.01, 0.01]),
        ("cosine", [1, 0.853553, 0.5, 0.146447, 0]),
        ("one_cycle", [0.04, 0.9357, 0.811747, 0.283064, 0.00001]),
    ],
)
def test_a_schedule_is_a_function_of_the_progress_alone(schedule: str, factors: list[float]) -> None:
    assert [schedules.factor(schedule, done, 8) for done in (0, 2, 4, 6, 8)] == pytest.approx(factors, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "w: 'epochs': Input should be greater than or equal to 0 (got -1)"),
        ({"batch_size": 1}, "w: 'batch_size': Input should be greater than or equal to 2 (got 1)"),
        ({"held_out": 1.0}, "w: 'held_out': Input should be less than or equal to 0.5 (got 1.0)"),
        ({"learning_rate": 0}, "w: 'learning_rate': Input should be greater than 0 (got 0)"),
        ({"optimiser": "sgd"}, "w: unknown key 'optimiser'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        toml_file.parse(options, TrainingOptions, where="w")

    assert caught.value.message == message


def test_a_method_with_a_loss_of_its_own_has_no_option_for_another() -> None:
    with pytest.raises(ConfigError) as caught:
        toml_file.parse({"loss": "labels"}, distill.Options, where="w")

    assert caught.value.message == "w: unknown key 'loss'"


def test_a_curve_draws_its_losses_and_where_there_are_labels_its_accuracy() -> None:
    first = Epoch(learning_rate=0.1, training_loss=2.0, held_out_loss=1.5, accuracy=0.5)
    second = Epoch(learning_rate=0.1, training_loss=1.0, held_out_loss=1.6, accuracy=0.6)

    losses, accuracy = Curve(name="net", epochs=(first, second), best=1).findings()

    assert [(line.name, line.x, line.y) for line in losses.series] == [
        ("training", (1.0, 2.0), (2.0, 1.0)),
        ("held out", (1.0, 2.0), (1.5, 1.6)),
    ]
    assert losses.note == "The weights of epoch 1 were kept."
    assert accuracy.series[0].y == (0.5, 0.6)


def test_options_of_a_training_are_read_without_torch() -> None:
    modules = "edgecompress.compress.training, edgecompress.compress.distill, edgecompress.compress.distill_chain"
    script = f"import sys, {modules}; print('torch' in sys.modules, 'onnxruntime' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "False False\n"
