"""core/data: samples from a function of the user's own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgecompress.core import data
from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Data, TensorSpec

X = TensorSpec(name="x", shape=(1, 2), dtype="float32")
Z = TensorSpec(name="z", shape=(1, 3), dtype="float32")
WHERE = "data function mine:samples"


def load(folder: Path, code: str, *inputs: TensorSpec, function: str = "mine:samples") -> Data:
    (folder / "mine.py").write_text(f"import numpy as np\n{code}")
    return data.load(DataSource(function=function, module_folder=folder), inputs or (X,))


def refusal(folder: Path, code: str, *inputs: TensorSpec, function: str = "mine:samples") -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        load(folder, code, *inputs, function=function)
    return caught.value.message, caught.value.hint


def test_inputs_and_labels_come_from_the_recipes_folder(tmp_path: Path) -> None:
    found = load(tmp_path, "def samples(): return np.ones((4, 2)), np.arange(4)")

    assert found.evaluation.inputs["x"].dtype == np.float32
    assert found.evaluation.labels is not None
    assert found.evaluation.labels.tolist() == [0, 1, 2, 3]


def test_several_inputs_come_as_a_dict_and_labels_may_be_none(tmp_path: Path) -> None:
    found = load(tmp_path, "def samples(): return {'x': np.ones((4, 2)), 'z': np.ones((4, 3))}, None", X, Z)

    assert sorted(found.evaluation.inputs) == ["x", "z"]
    assert found.evaluation.labels is None


def test_the_module_may_import_its_neighbours_and_the_path_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("COUNT = 3")
    before = list(sys.path)

    found = load(tmp_path, "import neighbour_of_mine as n\ndef samples(): return np.ones((n.COUNT, 2)), None")

    assert found.evaluation.count == 3
    assert sys.path == before


def test_a_module_in_the_folder_wins_over_an_installed_one(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("import numpy as np\ndef samples(): return np.ones((5, 2)), None")

    source = DataSource(function="json:samples", module_folder=tmp_path)

    assert data.load(source, (X,)).evaluation.count == 5


def test_what_the_function_prints_does_not_reach_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, "print('loading')\ndef samples():\n  print('now')\n  return np.ones((1, 2)), None")

    assert capsys.readouterr() == ("", "loading\nnow\n")


def test_loaders_divide_the_samples_themselves(tmp_path: Path) -> None:
    code = """
def batches(count):
    for number in range(count):
        yield np.full((2, 2), float(number)), np.array([number, number])
def samples(): return {"training": batches(3), "evaluation": batches(1)}"""

    found = load(tmp_path, code)

    assert found.training is not None
    assert found.training.labels is not None
    assert found.training.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.training.inputs["x"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]
    assert found.calibration == found.training
    assert found.evaluation.count == 2


def test_some_of_the_samples_that_loaders_train_with_calibrate(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "batch = np.arange(8.0).reshape(4, 2), None\n"
        "def samples(): return {'training': [batch], 'evaluation': [batch]}"
    )
    source = DataSource(function="mine:samples", module_folder=tmp_path, calibration_count=1)

    assert data.load(source, (X,)).calibration.count == 1


def test_a_share_to_train_with_beside_loaders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n"
        "batch = np.ones((4, 2)), None\n"
        "def samples(): return {'training': [batch], 'evaluation': [batch]}"
    )

    with pytest.raises(ConfigError) as caught:
        data.load(DataSource(function="mine:samples", module_folder=tmp_path, training_share=0.5), (X,))

    assert caught.value.message == (
        f"{WHERE} returned samples to train with and to score; training_share = 0.5 has nothing to divide"
    )
    assert caught.value.hint == "take training_share out of the recipe"


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (
            "def samples(): return np.ones((4, 2))",
            f"{WHERE} returned ndarray",
            "return a pair: (inputs, labels), or (inputs, None)",
        ),
        (
            "def samples(): return {'training': [], 'y': []}",
            f"{WHERE} returned a dict with: training, y",
            "return a dict with: training, evaluation, and perhaps calibration",
        ),
        (
            "def samples(): return {'training': [], 'evaluation': []}",
            f"{WHERE}, training: there are no batches",
            "a generator can be read once only: make a new one",
        ),
        (
            "def samples(): return {'training': [np.ones((4, 2))], 'evaluation': []}",
            f"{WHERE}, training: batch 1 is ndarray",
            "let it be (inputs, labels)",
        ),
        (
            "def samples(): return {'training': [(np.ones((4, 2)), None), (np.ones((4, 3)), None)], 'evaluation': []}",
            f"{WHERE}, training: batches of different shapes: (4, 2), (4, 3)",
            "give all samples one shape",
        ),
        (
            "def samples(): return {'training': [(np.ones((4, 2)), None), (np.ones((4, 2)), [1])], 'evaluation': []}",
            f"{WHERE}, training: 1 of 2 batches have labels",
            "label all or none",
        ),
        (
            "def batches():\n  yield 1 / 0\ndef samples(): return {'training': batches(), 'evaluation': []}",
            f"{WHERE} failed: ZeroDivisionError: division by zero ({{folder}}/mine.py:3)",
            "call it alone to find the cause",
        ),
        (
            "def samples(): return {'y': np.ones((4, 2))}, None",
            f"{WHERE} does not return every input",
            "return a dict with: x",
        ),
        (
            "def samples(): return np.ones((4, 3)), None",
            f"{WHERE}: input 'x' has the shape (4, 3); the network wants (n, 2)",
            "samples come first; reshape the array, or choose another with `inputs`",
        ),
        ("samples = 3", f"{WHERE}: mine has no function 'samples'", "functions there: none"),
        ("def sample(): pass", f"{WHERE}: mine has no function 'samples'", "functions there: sample"),
        (
            "import no_such_module_at_all",
            f"{WHERE}: no module 'no_such_module_at_all'",
            "looked in {folder} and on PYTHONPATH",
        ),
    ],
    ids=[
        "no pair",
        "no such loader",
        "no batch",
        "no pair in a batch",
        "shapes",
        "some labels",
        "iterated",
        "no such input",
        "shape",
        "no function",
        "another function",
        "import",
    ],
)
def test_a_function_that_does_not_deliver_is_refused(tmp_path: Path, code: str, message: str, hint: str) -> None:
    assert refusal(tmp_path, code) == (message.format(folder=tmp_path), hint.format(folder=tmp_path))


def test_a_function_that_raises_is_named_with_its_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, "def samples():\n  raise OSError('disk gone')") == (
        f"{WHERE} failed: OSError: disk gone ({tmp_path}/mine.py:3)",
        "call it alone to find the cause",
    )


def test_a_module_that_raises_is_named_with_its_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, "1 / 0") == (
        f"{WHERE}: importing mine failed: ZeroDivisionError: division by zero ({tmp_path}/mine.py:2)",
        "import it alone to find the cause",
    )


def test_a_module_that_is_nowhere_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, "", function="nowhere.at_all:samples") == (
        "data function nowhere.at_all:samples: no module 'nowhere'",
        f"looked in {tmp_path} and on PYTHONPATH",
    )
