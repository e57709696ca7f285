"""The recipes of examples/digits do what their comments say: each is applied, and keeps its limits on the host."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

import digits
import pytest

from edgecompress import pipeline
from edgecompress.core import recipe
from edgecompress.core import target as targets
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


@pytest.mark.parametrize(("family", "left"), FAMILIES.items())
def test_a_family_s_recipe_makes_the_network_smaller_within_its_limits(
    family: str, left: Mapping[str, float], folder: Path, tmp_path: Path
) -> None:
    source = folder / f"{family}.toml"

    run = pipeline.compress(source, tmp_path / family, Silent(), targets.load("mps2-an386"))

    effects = run.read("model/steps.json", StepEffects, by="compress").effects
    given, last = effects[0], effects[-1]
    drop = recipe.load(source).limits.accuracy_drop
    assert drop is not None
    assert (last.value("accuracy") or 0) >= (given.value("accuracy") or 1) - drop
    for metric, share in left.items():
        assert (last.value(metric) or 1e9) <= share * (given.value(metric) or 0), metric
    assert all(effect.findings for effect in effects[1:])


def test_the_coded_form_is_ten_times_smaller_than_the_network(folder: Path, tmp_path: Path) -> None:
    run = pipeline.compress(folder / "shared.toml", tmp_path / "shared", Silent())

    given, coded = run.read("model/steps.json", StepEffects, by="compress").effects[:2]
    assert coded.method == "deep_compression"
    assert (given.value("stored_bytes") or 0) > 10 * (coded.value("stored_bytes") or 1e9)


def test_every_recipe_says_what_it_shows_and_how_it_is_run() -> None:
    for path in EXAMPLES.glob("*.toml"):
        text = path.read_text()
        comment = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
        assert "examples/digits/train.py" in comment, path.name
        assert f"examples/digits/{path.name}" in comment, path.name
        assert tomllib.loads(text)["steps"], path.name
