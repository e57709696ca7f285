"""mixed_precision under a budget of instructions: counted on the emulated board, met there, or refused with why."""

from __future__ import annotations

import functools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from digits import cnn, data
from onnx import TensorProto, numpy_helper

from edgecompress.compress import mixed_precision
from edgecompress.core import target as targets
from edgecompress.core.counting import InstructionCounts
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Context, Finding, Model, Optimize, no_progress
from edgecompress.deploy import qemu
from edgecompress.models import onnx_file
from edgecompress.pipeline import layer_counts

Command = Callable[..., subprocess.CompletedProcess[str]]

BOARD = "mps2-an386"


@functools.cache
def _counted(content: bytes, optimize: Optimize) -> InstructionCounts:
    board = targets.load(BOARD)
    model = _models[content]
    return layer_counts.counter(board, optimize, lambda target: qemu.connect(target, None), no_progress)(model)


_models: dict[bytes, Model] = {}


def count(model: Model, optimize: Optimize) -> InstructionCounts:
    """Count on the board; the same network only once."""
    content = model.graph.SerializeToString()
    _models[content] = model
    return _counted(content, optimize)


def context(optimize: Optimize, found: list[Finding] | None = None) -> Context:
    return Context(
        data=data(),
        where="r.toml: step 1",
        count_instructions=lambda model: count(model, optimize),
        record=(found if found is not None else []).append,
    )


def values_of_layers(model: Model) -> list[int]:
    """How many values each layer's weights take."""
    arrays = [numpy_helper.to_array(t) for t in model.graph.graph.initializer if t.data_type == TensorProto.INT8]
    return [len(np.unique(array)) for array in arrays if array.ndim > 1]


def test_weights_of_two_bits_save_instructions_where_the_output_misses_them_the_least() -> None:
    found: list[Finding] = []

    mixed = mixed_precision.apply(cnn(), {"instructions": 0.95, "bits": (2, 4)}, context("balanced", found))

    by_title = {finding.title: finding for finding in found}
    counted = by_title["Instructions of each layer by the bits of its weights"]
    of_two, of_four, of_eight = (series.y for series in counted.series)
    assert of_four == of_eight
    assert min(two / eight for two, eight in zip(of_two, of_eight, strict=True)) < 0.8
    assert count(mixed, "balanced").total <= 0.95 * sum_with_8_bits(counted)
    assert 1 <= sum(values <= 3 for values in values_of_layers(mixed)) < 5
    assert mixed.steps[-1].options == {
        "instructions": 0.95,
        "bits": (2, 4),
        "keep": (),
        "ranges": "minmax",
        "correct_bias": True,
    }


def sum_with_8_bits(finding: Finding) -> float:
    return float(finding.note.partition(" with these widths, ")[2].partition(" with ")[0].replace(",", ""))


def test_the_method_says_that_four_bits_save_no_instructions() -> None:
    with pytest.raises(ConfigError) as refused:
        mixed_precision.apply(cnn(), {"instructions": 0.95}, context("balanced"))

    assert str(refused.value) == (
        "r.toml: step 1: instructions = 0.95 cannot be met on mps2-an386: 1 is the least with bits = [4], for no layer "
        "takes fewer instructions with fewer bits"
    )


def test_a_budget_of_bytes_is_met_within_the_instructions_that_unpacking_may_cost() -> None:
    both = mixed_precision.apply(cnn(), {"size": 0.75, "instructions": 1.15}, context("size"))
    bytes_only = mixed_precision.apply(cnn(), {"size": 0.6}, context("size"))
    eight_bits = mixed_precision.apply(cnn(), {"instructions": 1.0}, context("size"))

    before = count(eight_bits, "size").total
    assert count(both, "size").total <= 1.15 * before < count(bytes_only, "size").total
    with pytest.raises(ConfigError, match=r"size = 0\.55 cannot be met: .* with bits = \[4\] and instructions = 1\.1"):
        mixed_precision.apply(cnn(), {"size": 0.55, "instructions": 1.1}, context("size"))


def test_a_budget_of_instructions_needs_a_target(tmp_path: Path, edgecompress: Command) -> None:
    onnx_file.save(cnn(), tmp_path / "cnn.onnx")
    np.savez(tmp_path / "digits.npz", image=data().calibration.inputs["image"][:20])
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'model = "cnn.onnx"\n[data]\nfile = "digits.npz"\ninputs = "image"\n[[steps]]\nmethod = "mixed_precision"\n'
        "options = { instructions = 0.9, bits = [2] }\n"
    )

    refused = edgecompress("compress", recipe, "-o", tmp_path / "run", code=3)
    done = edgecompress("compress", recipe, "-o", tmp_path / "run", "-t", BOARD, "--json")

    assert refused.stderr == (
        f"error: {recipe}: step 1 (mixed_precision): instructions = 0.9 needs a target to count them on\n"
        "hint: name it with -t, as in -t mps2-an386, or set size\n"
    )
    assert json.loads(done.stdout)
    effects = json.loads((tmp_path / "run" / "model" / "steps.json").read_text())["effects"]
    titles = [finding["title"] for finding in effects[1]["findings"]]
    assert "Instructions of each layer by the bits of its weights" in titles
