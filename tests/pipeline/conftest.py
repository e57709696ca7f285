"""The command line as a user starts it; the MLPerf Tiny int8 networks, each compiled for this machine once."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compress import static_int8
from edgecompress.core import data, recipe
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.values import Array, Context, Model

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
COMMAND_TIMEOUT_S = 280

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def edgecompress() -> Command:
    """Run `edgecompress WORDS…` to its end and check its exit code: `code`, 0 unless another one is expected."""

    def run(*words: str | Path, code: int = 0, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "edgecompress", *map(str, words)],
            env=os.environ | ({"PATH": str(path)} if path else {}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stderr}"
        return done

    return run


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A quantized network and its bundle for `host`."""

    model: Model
    bundle: Bundle

    def seeded_inputs(self, count: int, seed: int) -> dict[str, Array]:
        """Random inputs: integers over their type's whole range, float32 in [0, 1)."""
        draw = np.random.default_rng(seed)
        return {
            spec.name: draw.random((count, *spec.shape[1:]), np.float32)
            if spec.dtype == "float32"
            else draw.integers(-128, 128, (count, *spec.shape[1:])).astype(spec.dtype)
            for spec in self.model.inputs
        }


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Compiled]:
    """Build `wakeword` or, of an MLPerf Tiny network, the int8 file of that suffix."""

    @functools.cache
    def build(name: str, suffix: str = ".onnx") -> Compiled:
        model = wakeword() if name == "wakeword" else models.load(EXAMPLES / "mlperf_tiny" / f"{name}_int8{suffix}")
        folder = tmp_path_factory.mktemp(name) / "bundle"
        return Compiled(model=model, bundle=compiler.build(model, targets.load("host"), folder))

    return build


@pytest.fixture(scope="session")
def interpreted() -> Callable[..., Array]:
    """Run samples through TensorFlow Lite Micro's interpreter; its first `outputs` side by side, as (n, elements)."""
    tflite_micro = pytest.importorskip("tflite_micro", reason="tflite-micro is built for Linux on x86-64 only")

    def interpret(path: Path, samples: Array, outputs: int = 1) -> Array:
        interpreter = tflite_micro.runtime.Interpreter.from_file(str(path))
        shape = interpreter.get_input_details(0)["shape"]
        found = []
        for sample in samples:
            interpreter.set_input(sample.reshape(shape), 0)
            interpreter.invoke()
            found.append(np.concatenate([interpreter.get_output(i).reshape(-1) for i in range(outputs)]))
        return np.stack(found)

    return interpret


def wakeword() -> Model:
    """The network of examples/wakeword.toml after its step."""
    asked = recipe.load(EXAMPLES / "wakeword.toml")
    model = models.load(asked.model, name=asked.name)
    used = data.load(asked.data, model.inputs)
    (step,) = asked.steps
    return static_int8.apply(model, step.options, Context(data=used))
