"""What is wrong with a recipe whose steps train: one clear error, no network left behind; and what stopped goes on."""

from __future__ import annotations

import re
from pathlib import Path

import digits
import numpy as np
import onnx
import pytest
from onnx import parser

from edgecompress import models, pipeline
from edgecompress.core.errors import ConfigError, EdgecompressError, ModelError
from edgecompress.core.run_folder import Silent
from edgecompress.models import onnx_file

SAMPLES = 256
LABELLED = 'labels = "digits"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained CNN, some digits, a network of four classes and one with an operator that has no gradient here."""
    made = tmp_path_factory.mktemp("bad")
    onnx_file.save(digits.cnn(), made / "cnn.onnx")
    used = digits.data().calibration
    images = np.tile(used.inputs["image"], (2, 1, 1, 1))[:SAMPLES]
    assert used.labels is not None
    np.savez(made / "digits.npz", image=images, digits=np.tile(used.labels, 2)[:SAMPLES])
    written(made / "four.onnx", "a = Flatten(image) scores = MatMul(a, w)", "float[64, 4] w", classes=4)
    written(made / "odd.onnx", "a = Flatten(image) b = Mish(a) scores = MatMul(b, w)", "float[64, 10] w", classes=10)
    return made


def written(path: Path, nodes: str, weights: str, *, classes: int) -> None:
    """Write a network of digits with random weights."""
    kind, name = weights.rsplit(" ", 1)
    rows, columns = map(int, re.findall(r"\d+", kind))
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
{path.stem} (float[1, 1, 8, 8] image) => (float[1, {classes}] scores) {{ {nodes} }}"""
    model = parser.parse_model(text)
    values = np.random.default_rng(0).standard_normal((rows, columns)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    onnx.save(model, path)


def recipe(folder: Path, tmp_path: Path, step: str, *, model: str = "cnn.onnx", labels: str = LABELLED) -> Path:
    method, _, options = step.partition(" ")
    path = tmp_path / "r.toml"
    path.write_text(
        f'model = "{folder / model}"\n[data]\nfile = "{folder / "digits.npz"}"\ninputs = "image"\n{labels}'
        f'calibration_count = 200\n[[steps]]\nmethod = "{method}"\noptions = {{ {options} }}\n'
    )
    return path


def refused(source: Path, tmp_path: Path) -> EdgecompressError:
    with pytest.raises(EdgecompressError) as caught:
        pipeline.compress(source, tmp_path / "run", Silent())
    assert not (tmp_path / "run" / "model").exists()
    return caught.value


@pytest.mark.parametrize("method", ["prune_channels", "fine_tune", "distill"])
def test_a_step_that_trains_on_labels_says_that_there_are_none(method: str, folder: Path, tmp_path: Path) -> None:
    options = {"distill": "width = 0.5, epochs = 1"}.get(method, "epochs = 1")
    source = recipe(folder, tmp_path, f"{method} {options}", labels="")

    error = refused(source, tmp_path)

    assert isinstance(error, ConfigError)
    names = {"prune_channels": "cnn pruned, round 1", "distill": "cnn, student"}
    trained = names.get(method, "cnn")
    assert str(error) == f"{source}: step 1 ({method}): training {trained} needs labels, and the data has none"


def test_a_teacher_of_another_shape_is_named_with_both_shapes(folder: Path, tmp_path: Path) -> None:
    source = recipe(folder, tmp_path, f'distill width = 0.5, epochs = 1, teachers = ["{folder / "four.onnx"}"]')

    error = refused(source, tmp_path)

    assert str(error) == (
        f"{source}: step 1 (distill): the teacher {folder / 'four.onnx'} has the outputs float32 (1, 4); cnn has "
        "float32 (1, 10)"
    )


@pytest.mark.parametrize(
    "method", ["prune_channels", "prune_weights", "low_rank_svd", "tucker", "cp", "activation_pca", "deep_compression"]
)
def test_a_ratio_of_1_would_leave_nothing(method: str, folder: Path, tmp_path: Path) -> None:
    source = recipe(folder, tmp_path, f"{method} ratio = 1.0")

    error = refused(source, tmp_path)

    assert str(error) == f"{source}: step 1 ({method}): 'ratio': Input should be less than 1 (got 1.0)"


def test_a_loss_that_is_no_number_says_where_and_what_to_lower(folder: Path, tmp_path: Path) -> None:
    source = recipe(
        folder, tmp_path, 'fine_tune epochs = 2, learning_rate = 1e30, optimizer = "sgd", batch_norm = false'
    )

    error = refused(source, tmp_path)

    start = re.escape(f"{source}: step 1 (fine_tune): training cnn: ")
    assert re.fullmatch(start + r"the loss is (nan|inf) in epoch [12], (batch \d+|held-out samples)", str(error))
    assert error.hint == "lower learning_rate (it is 1e+30)"


def test_an_operator_that_cannot_be_trained_is_named(folder: Path, tmp_path: Path) -> None:
    source = recipe(folder, tmp_path, "fine_tune epochs = 1", model="odd.onnx")

    error = refused(source, tmp_path)

    assert isinstance(error, ModelError)
    assert str(error) == "odd: Mish 'Mish_1' cannot be trained"


class Stopping(Silent):
    """An observer that interrupts the first training when it is half done."""

    def progress(self, what: str, done: int, total: int) -> None:
        if what.startswith("train ") and done > total / 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["prune_weights ratio = 0.7, epochs = 4", "qat epochs = 4, weight_bits = 4"])
def test_a_recipe_that_was_interrupted_ends_with_the_same_weights(step: str, folder: Path, tmp_path: Path) -> None:
    source = recipe(folder, tmp_path, step)
    whole = pipeline.compress(source, tmp_path / "whole", Silent())

    with pytest.raises(KeyboardInterrupt):
        pipeline.compress(source, tmp_path / "stopped", Stopping())
    assert list((tmp_path / "stopped" / "steps").glob("*/scratch-*/*"))
    resumed = pipeline.compress(source, tmp_path / "stopped", Silent())

    first, second = (models.load(run.folder / "model" / "model.onnx") for run in (whole, resumed))
    assert first.graph == second.graph
