"""The MLPerf Tiny int8 networks, from .onnx and from .tflite, against TensorFlow Lite Micro: the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompress.core.values import Array

NETWORKS = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
NAMES = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
COUNT = 8


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_network_gives_the_bytes_of_tflite_micro(
    name: str, suffix: str, compiled: Callable[..., Any], interpreted: Callable[[Path, Array], Array]
) -> None:
    network = compiled(name, suffix)
    inputs = network.seeded_inputs(COUNT, seed=11)
    (samples,) = inputs.values()

    (found,) = network.bundle.run_on_host(inputs).values()

    wanted = interpreted(NETWORKS / f"{name}_int8.tflite", samples)
    assert len(np.unique(wanted, axis=0)) > 1, "the inputs make no difference"
    assert found.reshape(COUNT, -1).tobytes() == wanted.tobytes()
