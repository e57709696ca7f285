"""The recipes of examples/digits do what their comments say: each is applied, and keeps its limits on the host."""

from __future__ import annotations

import functools
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import digits
import pytest

from edgecompress import pipeline
from edgecompress.core import recipe
from edgecompress.core import target as targets
from edgecompress.core.effects import StepEffect
from edgecompress.core.run_folder import Silent
from edgecompress.models import onnx_file
from edgecompress.pipeline.step_costs import StepEffects

EXAMPLES = Path(__file__).parents[2] / "examples" / "digits"
FAMILIES = {
    "int8": {"stored_bytes": 0.28},
    "prune": {"macs": 0.4, "stored_bytes": 0.12},
    "low_rank": {"macs": 0.5, "stored_bytes": 0.25},
    "shared": {"stored_bytes": 0.28},
}
"""The share of each figure that is left at most, after all steps."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipes beside the networks, as examples/digits/train.py leaves them."""
    copied = tmp_path_factory.mktemp("examples") / "digits"
    shutil.copytree(EXAMPLES, copied, ignore=shutil.ignore_patterns("*.onnx", "__pycache__"))
    for name, model in (("cnn", digits.cnn()), ("depthwise", digits.depthwise())):
        onnx_file.save(model, copied / f"{name}.onnx")
    return copied


@pytest.fixture(scope="module")
def applied(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[StepEffect, ...]]:
    """Apply a recipe once: its steps and what each bought."""

    @functools.cache
    def apply(family: str) -> tuple[StepEffect, ...]:
        board = targets.load("mps2-an386")
        run = pipeline.compress(folder / f"{family}.toml", tmp_path_factory.mktemp(family), Silent(), board)
        return run.read("model/steps.json", StepEffects, by="compress").effects

    return apply


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_s_recipe_makes_the_network_smaller_within_its_limits(
    family: str, folder: Path, applied: Callable[[str], tuple[StepEffect, ...]]
) -> None:
    effects = applied(family)

    given, last = effects[0], effects[-1]
    drop = recipe.load(folder / f"{family}.toml").limits.accuracy_drop
    assert drop is not None
    assert (last.value("accuracy") or 0) >= (given.value("accuracy") or 1) - drop
    for metric, share in FAMILIES[family].items():
        assert (last.value(metric) or 1e9) <= share * (given.value(metric) or 0), metric
    assert all(effect.findings for effect in effects[1:])


def test_the_coded_form_is_ten_times_smaller_than_the_network(
    applied: Callable[[str], tuple[StepEffect, ...]],
) -> None:
    given, coded = applied("shared")[:2]

    assert coded.method == "deep_compression"
    assert (given.value("stored_bytes") or 0) > 10 * (coded.value("stored_bytes") or 1e9)


def test_every_recipe_says_what_it_shows_and_how_it_is_run() -> None:
    for path in EXAMPLES.glob("*.toml"):
        text = path.read_text()
        comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
        assert "examples/digits/train.py" in comment, path.name
        assert f"examples/digits/{path.name}" in comment, path.name
        assert tomllib.loads(text)["steps"], path.name
