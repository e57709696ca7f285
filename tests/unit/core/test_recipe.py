"""core/recipe: a recipe's paths belong to its folder, and its keys are checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompress.core import recipe
from edgecompress.core.errors import ConfigError, UsageError
from edgecompress.core.recipe import DataSource, Limits, Recipe, Step

EXAMPLES = Path(__file__).parents[3] / "examples"


def read(tmp_path: Path, text: str) -> Recipe:
    (tmp_path / "r.toml").write_text(text)
    return recipe.load(tmp_path / "r.toml")


def test_relative_paths_start_at_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")

    found = read(tmp_path, 'model = "nets/a.onnx"\n[data]\nfile = "d.npz"')

    assert found.model == tmp_path / "nets" / "a.onnx"
    assert found.data is not None
    assert found.data.file == tmp_path / "d.npz"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    assert read(tmp_path, 'model = "/nets/a.onnx"').model == Path("/nets/a.onnx")


@pytest.mark.parametrize(("key", "folder"), [("", "."), ('module_folder = "code"', "code")])
def test_a_data_function_is_looked_for_beside_the_recipe(tmp_path: Path, key: str, folder: str) -> None:
    found = read(tmp_path, f'model = "a.onnx"\n[data]\nfunction = "samples:load"\n{key}')

    assert found.data is not None
    assert found.data.module_folder == tmp_path / folder
    assert found.data.file is None


def test_the_example_says_what_it_does() -> None:
    found = recipe.load(EXAMPLES / "wakeword.toml")

    assert found.name == "wakeword"
    assert found.steps == (Step(method="static_int8", options={"ranges": "minmax"}),)
    assert found.limits == Limits(accuracy_drop=0.1)
    assert found.data == DataSource(
        file=EXAMPLES / "mlperf_tiny" / "sww_calib_45.npz",
        module_folder=EXAMPLES,
        inputs="specs",
        labels="labels",
        calibration_per_class=5,
        note="These are the source's calibration samples, not a test set.",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('model = "a"\n[data]\nfile = "x"\nfunction = "m:f"', "'data': give one of `file`, `folder` and `function`"),
        (
            'model = "a"\n[data]\nfile = "x"\ncalibration_count = 1\ncalibration_per_class = 1',
            "'data': give `calibration_per_class` or `calibration_count`, not both",
        ),
        (
            'model = "a"\n[data]\nfile = "x"\ncalibration_count = 0',
            "'data.calibration_count': Input should be greater than 0 (got 0)",
        ),
        (
            'model = "a"\n[limits]\naccuracy = 93',
            "'limits.accuracy': Input should be less than or equal to 1 (got 93)",
        ),
        ('model = "a"\n[shapes]\nx = [1, "h"]', "'shapes.x' (entry 2): Input should be a valid integer (got 'h')"),
        (
            'model = "a"\n[data]\nfunction = "os.system"',
            r"'data.function': String should match pattern '^[A-Za-z_][\w.]*:[A-Za-z_]\w*$' (got 'os.system')",
        ),
        ('model = "a"\n[[steps]]\nmethod = "a"\n[[steps]]\nmethd = "b"', "unknown key 'steps.methd' (entry 2)"),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)

    assert caught.value.message == f"{tmp_path}/r.toml: {message}"


def test_the_files_behind_the_samples_are_known() -> None:
    assert DataSource(file=Path("a.npz")).sources == (Path("a.npz"),)
    assert DataSource(function="mine.data:load", module_folder=Path("here")).sources == (Path("here/mine/data.py"),)


@pytest.mark.parametrize(
    ("text", "method", "options"),
    [
        ("static_int8", "static_int8", {}),
        ("static_int8 ranges=mse symmetric=true", "static_int8", {"ranges": "mse", "symmetric": True}),
        ("qat bits=4 rate=1e-3", "qat", {"bits": 4, "rate": 1e-3}),
        ('distill teachers=\'["a.onnx", "b.onnx"]\'', "distill", {"teachers": ("a.onnx", "b.onnx")}),
        ("distill student='my student.onnx'", "distill", {"student": "my student.onnx"}),
    ],
)
def test_a_step_can_be_written_on_one_line(text: str, method: str, options: dict[str, object]) -> None:
    step = recipe.step(text)

    assert step.method == method
    assert step.options == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--step '' names no method"),
        ("qat 'bits", '--step "qat \'bits" names no method'),
        ("qat bits", "--step 'qat bits': 'bits' is no option"),
        ("qat =4", "--step 'qat =4': '=4' is no option"),
    ],
)
def test_a_line_that_is_no_step_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe.step(text)

    assert caught.value.message == message


def test_a_steps_files_are_those_that_its_options_name(tmp_path: Path) -> None:
    for name in ("teacher.onnx", "networks.py"):
        (tmp_path / name).touch()
    options = {"teachers": ("teacher.onnx", "gone.onnx"), "student": "networks:student", "loss": "labels", "epochs": 5}

    found = Step(method="distill", options=options).sources(tmp_path)

    assert found == (tmp_path / "teacher.onnx", tmp_path / "networks.py")
