"""What `check` promises without a compiler, held against what is linked for every target: never below it.

The generated C is built with every warning as an error: it has none, on any core.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import linking
import pytest
from cortex_m import CORES

from edgecompress.compile import emit_c, emit_network, emit_weights, fit, graph, link, lowering, sizes
from edgecompress.core import target as targets
from edgecompress.core.values import Optimize
from edgecompress.models import onnx_file

EXAMPLES = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
NETWORKS = ("ad_autoencoder", "ic_resnet8", "kws_dscnn", "sww_stream", "vww_mobilenetv1_025")
BOARDS = CORES
NOT_SILLY = 1.6
"""How far a bound on the flash may lie above the truth."""
LONG_BYTES = 4 << 20
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")


@pytest.fixture(autouse=True)
def warnings_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    for flags in ("NETWORK_FLAGS", "SMALL_NETWORK_FLAGS"):
        monkeypatch.setattr(link, flags, (*getattr(link, flags), *WARNINGS))


def lowered(network: str, target: targets.Target, optimize: Optimize = "balanced") -> lowering.Lowered:
    model = onnx_file.load(EXAMPLES / f"{network}.onnx")
    return lowering.lower_and_plan(graph.to_program(model, target, optimize))


def roomy(target: targets.Target) -> targets.Target:
    """Give a board memory for every network: what is linked is compared, not whether it fits."""
    if target.memory is None:
        return target
    regions = {"flash": target.memory.flash, "ram": target.memory.ram}
    longer = {key: region.model_copy(update={"length": LONG_BYTES}) for key, region in regions.items()}
    return target.model_copy(update={"memory": target.memory.model_copy(update=longer)})


def linked(whole: lowering.Lowered, target: targets.Target, folder: Path) -> sizes.Footprint:
    """Link the firmware of a network alone: no reference, no vectors."""
    sources = emit_c.model_sources(whole.program, whole.kernels, whole.arena)
    sources |= emit_weights.weights_sources(whole.program)
    sources["network.c"] = emit_network.network_source(whole.program, target.name, bytes(16))
    (folder / "src").mkdir()
    for name, text in sources.items():
        (folder / "src" / name).write_text(text)
    runtime = link.find_runtime(target.port)
    link.copy_runtime(runtime, folder)
    network = replace(link.NETWORK, small=whole.program.optimize == "size")
    linking.device_program(folder, network, target, Path("program"))
    return sizes.read_footprint(folder / "program")


@pytest.mark.parametrize("name", [*BOARDS, "host"])
@pytest.mark.parametrize("network", [f"{name}_int8" for name in NETWORKS] + ["kws_dscnn_fp32"])
def test_the_bounds_are_never_below_what_is_linked(network: str, name: str, tmp_path: Path) -> None:
    hold_the_bounds(network, name, "balanced", tmp_path)


@pytest.mark.parametrize("name", ["rpi5", "rpi-zero", "x86-64-v3"])
@pytest.mark.parametrize("network", ["kws_dscnn_int8", "kws_dscnn_fp32"])
def test_the_bounds_are_never_below_what_is_linked_for_linux(network: str, name: str, tmp_path: Path) -> None:
    hold_the_bounds(network, name, "balanced", tmp_path)


@pytest.mark.parametrize("name", ["microbit", "mps2-an385", "mps2-an386", "mps3-an547"])
@pytest.mark.parametrize(
    ("network", "optimize"), [("ad_autoencoder_int8", "size"), ("vww_mobilenetv1_025_int8", "ram")]
)
def test_the_bounds_hold_in_other_modes_too(network: str, optimize: Optimize, name: str, tmp_path: Path) -> None:
    hold_the_bounds(network, name, optimize, tmp_path)


def hold_the_bounds(network: str, name: str, optimize: Optimize, folder: Path) -> None:
    target = roomy(targets.load(name))
    whole = lowered(network, target, optimize)
    bound = fit.estimate(whole.program, whole.kernels, whole.arena, target)

    actual = linked(whole, target, folder)

    assert bound.weights_bytes >= sum(actual.symbols[name] for name in _weights(whole))
    assert bound.flash_bytes >= actual.flash_bytes
    assert bound.arena_bytes + bound.runtime_ram_bytes >= actual.static_ram_bytes
    if target.system == "bare":
        assert bound.flash_bytes <= NOT_SILLY * actual.flash_bytes


def test_the_stack_bound_holds_what_the_linker_wants_left() -> None:
    script = (link.runtime_folder() / "ports" / "cortex_m" / "link.ld").read_text()

    assert re.findall(r">= (\d+), \"less than", script) == [str(fit.STACK_ROOM_BYTES)]


def _weights(whole: lowering.Lowered) -> set[str]:
    return set(emit_weights.constant_names(whole.program).values())
