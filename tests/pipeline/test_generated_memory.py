"""Every network under the sanitizers, its tensors apart from each other and the room between them poisoned.

In the planned arena a kernel that reads or writes beside its tensors would only touch another tensor. Here that stops
the program; and what it computes must be what the generic kernels compute in the planned arena, whatever family of
kernels the target's features choose.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from poisoned_arena import build, poison_source, spread

from edgecompress.compile import graph, lowering, vectors
from edgecompress.core import target as targets
from edgecompress.core.bundle import run_host_program
from edgecompress.core.values import Optimize
from edgecompress.models import onnx_file

EXAMPLES = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
TARGETS = ("mps2-an385", "mps2-an386", "mps3-an547")
CASES: list[tuple[str, str, Optimize]] = [
    *((f"{name}_int8", target, "balanced") for name in NETWORKS for target in TARGETS),
    *((f"{name}_fp32", "mps2-an386", "balanced") for name in NETWORKS),
    *(("ad_autoencoder_int8", target, "size") for target in TARGETS),
    *((f"{name}_int8", "mps2-an386", "ram") for name in ("ic_resnet8", "vww_mobilenetv1_025")),
]


def lower(network: str, target: str, optimize: Optimize = "balanced") -> lowering.Lowered:
    model = onnx_file.load(EXAMPLES / f"{network}.onnx")
    return lowering.lower_and_plan(graph.to_program(model, targets.load(target), optimize))


@pytest.mark.parametrize(("network", "target", "optimize"), CASES)
def test_no_kernel_touches_what_is_not_its_own(network: str, target: str, optimize: Optimize, tmp_path: Path) -> None:
    generic, lowered = lower(network, "host"), lower(network, target, optimize)
    program = lowered.program
    inputs = {name: values[:1] for name, values in vectors.seeded_inputs(program.inputs).items()}
    apart = spread(lowered.arena)

    planned = build(tmp_path / "planned", generic, generic.arena, "", sanitize=False)
    poisoned = build(tmp_path / "poisoned", lowered, apart, poison_source(apart), sanitize=True)

    expected = run_host_program(planned, program.inputs, program.outputs, inputs)
    outputs = run_host_program(poisoned, program.inputs, program.outputs, inputs)
    assert {name: value.tobytes() for name, value in outputs.items()} == {
        name: value.tobytes() for name, value in expected.items()
    }
