"""Every network under the sanitizers, its tensors apart from each other and the room between them poisoned.

In the planned arena a kernel that reads or writes beside its tensors would only touch another tensor. Here that stops
the program; and what it computes must be what the generic kernels compute in the planned arena, whatever family of
kernels the target's features choose.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompress.compile import assemble, emit_c, emit_network, emit_weights, graph, link, vectors
from edgecompress.core import target as targets
from edgecompress.core.bundle import Arena, Placement, run_host_program
from edgecompress.models import onnx_file

EXAMPLES = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
GAP_BYTES = 64
NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
CASES = [(f"{name}_int8", target) for name in NETWORKS for target in ("mps2-an385", "mps2-an386", "mps3-an547")]
CASES += [(f"{name}_fp32", "mps2-an386") for name in NETWORKS]


def spread(arena: Arena) -> Arena:
    """Give every tensor and workspace of a plan room of its own, with a gap after it."""
    placements: list[Placement] = []
    end = GAP_BYTES
    for placement in arena.placements:
        placements.append(placement.model_copy(update={"offset": end}))
        end += -(-placement.bytes // 16) * 16 + GAP_BYTES
    return arena.model_copy(update={"bytes": end, "placements": tuple(placements)})


def poison_source(arena: Arena) -> str:
    """C that poisons what of the arena belongs to no tensor, before main runs."""
    starts = [0, *(placement.offset + placement.bytes for placement in arena.placements)]
    ends = [*(placement.offset for placement in arena.placements), arena.bytes]
    calls = "".join(
        f"  __asan_poison_memory_region(model_arena + {start}, {end - start});\n"
        for start, end in zip(starts, ends, strict=True)
    )
    return (
        '#include <sanitizer/asan_interface.h>\n#include "model.h"\n'
        f"__attribute__((constructor)) static void poison(void) {{\n{calls}}}\n"
    )


def build(folder: Path, lowered: assemble.Lowered, arena: Arena, poison: str, *, sanitize: bool) -> Path:
    folder.mkdir()
    sources = emit_c.model_sources(lowered.program, lowered.kernels, arena)
    sources |= emit_weights.weights_sources(lowered.program)
    sources["network.c"] = emit_network.network_source(lowered.program, "host", bytes(16))
    sources["poison.c"] = poison
    (folder / "src").mkdir()
    for name, text in sources.items():
        (folder / "src" / name).write_text(text)
    link.copy_runtime(link.find_runtime(link.REFERENCE_PORT), folder)
    network = link.Network(sources=(*assemble.NETWORK.sources, "src/poison.c"))
    link.build_reference(folder, network, Path("reference"), sanitize=sanitize)
    return folder / "reference"


def lower(network: str, target: str) -> assemble.Lowered:
    model = onnx_file.load(EXAMPLES / f"{network}.onnx")
    return assemble.lower_and_plan(graph.to_program(model, targets.load(target)))


@pytest.mark.parametrize(("network", "target"), CASES)
def test_no_kernel_touches_what_is_not_its_own(network: str, target: str, tmp_path: Path) -> None:
    generic, lowered = lower(network, "host"), lower(network, target)
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
