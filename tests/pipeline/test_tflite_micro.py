"""The MLPerf Tiny int8 networks against TensorFlow Lite Micro's interpreter: the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tflite_micro = pytest.importorskip("tflite_micro", reason="tflite-micro is built for Linux on x86-64 only")

NETWORKS = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
NAMES = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
COUNT = 8


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_network_gives_the_bytes_of_tflite_micro(name: str, compiled: Callable[[str], Any]) -> None:
    network = compiled(name)
    inputs = network.seeded_inputs(COUNT, seed=11)
    (samples,) = inputs.values()

    (found,) = network.bundle.run_on_host(inputs).values()

    wanted = interpret(NETWORKS / f"{name}_int8.tflite", samples)
    assert len(np.unique(wanted, axis=0)) > 1, "the inputs make no difference"
    assert found.reshape(COUNT, -1).tobytes() == wanted.tobytes()


def interpret(path: Path, samples: np.ndarray) -> np.ndarray:
    """Run samples through the interpreter; outputs as (n, elements) int8."""
    interpreter = tflite_micro.runtime.Interpreter.from_file(str(path))
    shape = interpreter.get_input_details(0)["shape"]
    outputs = []
    for sample in samples:
        interpreter.set_input(sample.reshape(shape), 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0).reshape(-1).copy())
    return np.stack(outputs)
