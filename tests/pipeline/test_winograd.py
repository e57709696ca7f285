"""Convolutions by Winograd's filters: a plain reference in float64, ONNX Runtime, cores, threads, and the choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import vector_layers
from onnx import TensorProto, helper, numpy_helper
from vector_layers import Case

from edgecompress import compile as compiler
from edgecompress import models, pipeline
from edgecompress.compile import graph, link
from edgecompress.compile.kernels import vector_core, vector_winograd, vector_winograd_choice
from edgecompress.compile.kernels.vector_core import VectorCore
from edgecompress.compile.kernels.vector_product import Product
from edgecompress.compile.kernels.vector_winograd import Winograd
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.winograd import FILTERS
from edgecompress.core import target as targets
from edgecompress.core.target import Caches, Target
from edgecompress.core.values import Array, Model, Optimize

TOLERANCE = {2: 2e-6, 4: 1e-5, 6: 4e-5}
"""F(m, 3): largest difference from the reference, as a part of the layer's largest number. What is stated is 1e-3."""

LAYERS = {"rpi4": 5, "rpi2": 2, "armv7": 2, "x86-64-v3": 2, "x86-64": 1}
"""Linux profiles with vectors of floats, and how many layers are drawn for each and each filter."""

EMULATORS = {
    "rpi4": ("qemu-aarch64-static", "-cpu", "cortex-a72"),
    "rpi2": ("qemu-arm-static", "-cpu", "cortex-a7"),
    "armv7": ("qemu-arm-static", "-cpu", "cortex-a9"),
    "x86-64-v3": ("qemu-x86_64-static", "-cpu", "Haswell"),
    "x86-64": ("qemu-x86_64-static", "-cpu", "Nehalem"),
}
RESNET8 = Path(__file__).parents[2] / "examples" / "mlperf_tiny" / "ic_resnet8_fp32.onnx"
SMALL_L2_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The layers of a profile, and what this machine computes of them."""

    target: Target
    core: VectorCore
    cases: list[Case]
    results: list[Array]


@pytest.fixture(scope="module", params=LAYERS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    generator = np.random.default_rng(sum(map(ord, request.param)))
    cases = [vector_layers.draw_winograd(generator, m) for m in FILTERS for _ in range(LAYERS[request.param])]
    target = with_small_cache(targets.load(request.param))
    core = vector_core.of(target)
    assert core is not None
    source = vector_layers.write_program(cases, core)
    program = vector_layers.build(source, ("gcc", *link.reference_flags(target)), tmp_path_factory.mktemp("host") / "p")
    return Drawn(target=target, core=core, cases=cases, results=vector_layers.run([str(program)], cases, core))


def with_small_cache(target: Target) -> Target:
    """A level 2 cache of which small layers take several bands."""
    return target.model_copy(update={"caches": Caches(l1_data_bytes=32 * 1024, l2_bytes=SMALL_L2_BYTES)})


def test_random_layers_agree_with_a_plain_reference(drawn: Drawn) -> None:
    for case, result in zip(drawn.cases, drawn.results, strict=True):
        exact = vector_layers.reference(case)
        scale = max(float(np.abs(exact).max()), 1e-9)
        message = f"F({case.winograd}, 3) {case.layer}"
        assert case.winograd is not None
        np.testing.assert_allclose(
            result / scale, exact / scale, rtol=0, atol=TOLERANCE[case.winograd], err_msg=message
        )


def test_random_layers_give_the_same_bytes_on_an_emulated_core(drawn: Drawn, tmp_path: Path) -> None:
    toolchain = drawn.target.toolchain
    compiler = (f"{toolchain.prefix}gcc", *toolchain.cpu_flags)
    source = vector_layers.write_program(drawn.cases, drawn.core)
    program = vector_layers.build(source, compiler, tmp_path / "program")
    emulated = vector_layers.run([*EMULATORS[drawn.target.name], str(program)], drawn.cases, drawn.core)

    for case, here, there in zip(drawn.cases, drawn.results, emulated, strict=True):
        assert here.tobytes() == there.tobytes(), (case.winograd, case.layer)


def test_the_drawn_layers_have_bands_of_several_kinds(drawn: Drawn) -> None:
    kinds = set()
    for case in drawn.cases:
        assert isinstance(case.layer, Product)
        assert case.winograd is not None
        plan = vector_winograd.Plan(Winograd(product=case.layer, results=case.winograd), drawn.core)
        kinds |= {(band.count > 1, band.last == case.winograd) for band in plan.bands}

    assert {(False, False), (True, True)} <= kinds


def network(folder: Path, channels: int = 20, size: tuple[int, int] = (22, 19)) -> Model:
    """Two convolutions of 3x3 taps, the second one with what it takes in: a scale, a bias, the shortcut, a limit."""
    generator = np.random.default_rng(5)

    def real(*shape: int) -> Array:
        return (generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    constants = {"v": real(channels, channels, 3, 3), "w": real(channels, channels, 3, 3), "b": real(channels)}
    nodes = [
        helper.make_node("Conv", ["x", "v"], ["c"], name="c", pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["c", "w", "b"], ["d"], name="d", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["d", "c"], ["e"], name="e"),
        helper.make_node("Relu", ["e"], ["y"], name="y"),
    ]
    shape = (1, channels, *size)
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(proto, folder / "net.onnx")
    return models.load(folder / "net.onnx")


@pytest.mark.parametrize("name", ["rpi4", "rpi2"])
def test_a_network_agrees_with_onnxruntime_and_gives_the_same_bytes_on_three_threads(name: str, tmp_path: Path) -> None:
    model, target = network(tmp_path), with_small_cache(targets.load(name))
    bundle = compiler.build(model, target, tmp_path / "bundle", optimize="speed")
    assert sum(layer.op.startswith("winograd") for layer in bundle.manifest.layers) == 2
    inputs, outputs = bundle.vectors()
    expected = onnxruntime.InferenceSession(model.graph.SerializeToString()).run(None, {"x": inputs["x"][:1]})[0]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(outputs["y"][:1] / scale, expected / scale, rtol=0, atol=max(TOLERANCE.values()))

    with pipeline.connect(target, pipeline.DeviceChoice(address=f"loop://{name}")) as device:
        device.install(bundle)  # compares every test vector, byte for byte
        device.use_threads(3)
        threaded = device.run({"x": inputs["x"][0]})

    assert threaded.outputs["y"].tobytes() == outputs["y"][0].tobytes()


def growth(model: Model, target: Target, optimize: Optimize) -> int:
    """Bytes of constants more than in mode size."""
    modes: tuple[Optimize, Optimize] = (optimize, "size")
    kept = [sum(each.nbytes for each in graph.to_program(model, target, mode).constants.values()) for mode in modes]
    return kept[0] - kept[1]


def test_modes_that_save_memory_take_no_larger_weights() -> None:
    model, target = models.load(RESNET8), targets.load("rpi4")

    assert [growth(model, target, mode) for mode in ("ram", "balanced", "speed")] == [0, 14_336, 608_512]


def test_a_target_with_exact_floats_takes_no_filters(tmp_path: Path) -> None:
    target = targets.load("rpi4").model_copy(update={"exact_float": True})

    program = graph.to_program(network(tmp_path), target, "speed")

    assert not any(call.op.startswith("winograd") for call in program.calls)


def convolution(channels: int, size: int, **window: tuple[int, ...]) -> Product:
    shape = {"kernel": (3, 3), "padding": (1, 1, 1, 1), **window}
    return Product(window=Window(height=size, width=size, channels=channels, **shape), outputs=channels)  # type: ignore[arg-type]


def test_weights_grow_by_no_more_than_is_spare() -> None:
    core = vector_core.of(targets.load("rpi4"))
    assert core is not None
    choice = vector_winograd_choice.Choice(core=core, spare_bytes=250_000)
    layer = convolution(64, 8)

    first, second, third = (choice.choose(layer) for _ in range(3))

    assert isinstance(first, Winograd)
    assert (first.results, vector_winograd.weight_bytes(layer, 2)) == (2, 262_144)
    assert isinstance(second, Winograd)
    assert third == layer


@pytest.mark.parametrize(
    "layer",
    [
        convolution(64, 16, stride=(2, 2)),
        convolution(64, 16, dilation=(2, 2)),
        convolution(64, 16, kernel=(5, 5)),
        convolution(3, 32),
    ],
    ids=["stride 2", "dilation 2", "5x5 taps", "three channels"],
)
def test_other_convolutions_are_computed_directly(layer: Product) -> None:
    core = vector_core.of(targets.load("rpi4"))
    assert core is not None

    assert vector_winograd_choice.Choice(core=core).choose(layer) == layer


@pytest.mark.parametrize(("exact", "stated"), [(False, 1e-3), (True, 1e-5)])
def test_a_bundle_states_how_near_its_floats_are(exact: bool, stated: float, tmp_path: Path) -> None:
    target = targets.load("x86-64-v3").model_copy(update={"exact_float": exact})

    bundle = compiler.build(network(tmp_path), target, tmp_path / "bundle", optimize="speed")

    assert bundle.manifest.stated_relative_error == stated
