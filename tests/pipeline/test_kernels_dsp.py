"""The DSP kernels on random layers: the generic kernels' bytes on the host, under sanitizers and on a Cortex-M4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecompress.compile import assemble, link, quantized
from edgecompress.compile.kernels import convolution, depthwise, dsp_convolution, dsp_depthwise, epilogue
from edgecompress.compile.kernels.product import Choose, Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import Call, Program
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle, run_host_program
from edgecompress.core.device import Device
from edgecompress.core.values import TensorSpec
from edgecompress.deploy import qemu

CONVOLUTIONS = (
    (Window(height=1, width=1, channels=13, kernel=(1, 1)), 7),
    (Window(height=1, width=1, channels=640, kernel=(1, 1)), 9),
    (Window(height=1, width=3, channels=16, kernel=(1, 1)), 4),
    (Window(height=5, width=5, channels=8, kernel=(1, 1)), 6),
    (Window(height=5, width=4, channels=3, kernel=(3, 3), padding=(1, 1, 1, 1)), 5),
    (Window(height=7, width=7, channels=4, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)), 8),
    (Window(height=9, width=8, channels=1, kernel=(10, 4), stride=(2, 2), padding=(4, 1, 5, 1)), 10),
    (Window(height=8, width=9, channels=4, kernel=(3, 2), dilation=(2, 3), padding=(1, 2, 0, 1)), 3),
    (Window(height=8, width=9, channels=5, kernel=(3, 2), dilation=(1, 2)), 1),
    (Window(height=6, width=3, channels=12, kernel=(2, 3)), 11),
    (Window(height=12, width=1, channels=20, kernel=(4, 1), padding=(3, 0, 0, 0)), 2),
    (Window(height=4, width=6, channels=2, kernel=(1, 1), stride=(3, 2)), 4),
    (Window(height=4, width=5, channels=3, kernel=(1, 1), padding=(1, 2, 0, 1)), 4),
    (Window(height=6, width=6, channels=1, kernel=(1, 3), padding=(0, 1, 0, 1)), 2),
)
DEPTHWISE = (
    Window(height=6, width=5, channels=4, kernel=(3, 3), padding=(1, 1, 1, 1)),
    Window(height=5, width=8, channels=7, kernel=(3, 3), padding=(1, 1, 1, 1)),
    Window(height=7, width=13, channels=9, kernel=(3, 4), padding=(2, 0, 0, 3)),
    Window(height=9, width=24, channels=8, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1)),
    Window(height=5, width=29, channels=5, kernel=(1, 5), stride=(3, 2), padding=(0, 2, 0, 2)),
    Window(height=28, width=1, channels=12, kernel=(5, 1)),
    Window(height=17, width=1, channels=6, kernel=(10, 1), padding=(4, 0, 5, 0)),
    Window(height=8, width=15, channels=4, kernel=(2, 2), stride=(4, 1)),
    Window(height=4, width=9, channels=4, kernel=(3, 1), padding=(2, 0, 2, 0)),
)
FACTORS = {"small": 0.004, "any": 0.9, "large": 30.0}


def product(
    random: np.random.Generator, window: Window, outputs: int, largest: float, bounds: tuple[int, int]
) -> Product:
    """A layer with random numbers; as a depthwise one when it has no channels of its own to sum over."""
    groups = 1 if outputs else window.channels
    shape = (outputs or groups, *window.kernel, window.channels // groups)
    weights = random.integers(-127, 128, shape).astype(np.int8)
    input_zero = int(random.integers(-128, 128))
    bias, magnitudes = quantized.folded_bias(random.integers(-3000, 3000, shape[0]), weights, input_zero)
    each = random.uniform(0.05, 1, shape[0] if random.random() < 0.7 else 1)
    factors = np.broadcast_to(each, shape[0]) * largest / np.sqrt(weights[0].size)
    multipliers = tuple(quantized.multiplier(factor) for factor in factors)
    return Product(
        window=window,
        groups=groups,
        weights=weights,
        bias=bias,
        magnitudes=magnitudes,
        multipliers=multipliers,
        epilogue=epilogue.choose(multipliers, magnitudes, *bounds),
        input_zero=input_zero,
        output_zero=int(random.integers(-128, 128)),
        low=bounds[0],
        high=bounds[1],
    )


def layers() -> list[tuple[Product, Choose, Choose]]:
    """Every shape, each with another range of factors and other bounds: the product, its generic and DSP kernel."""
    random = np.random.default_rng(5)
    endings = [(largest, bounds) for bounds in ((-128, 127), (-100, 90)) for largest in FACTORS.values()]
    shapes = [(window, outputs) for window, outputs in CONVOLUTIONS] + [(window, 0) for window in DEPTHWISE]
    made: list[tuple[Product, Choose, Choose]] = []
    for number, (window, outputs) in enumerate(shapes):
        generic, fast = (convolution, dsp_convolution) if outputs else (depthwise, dsp_depthwise)
        for largest, bounds in (endings[number % 6], endings[(number + 2) % 6]):
            layer = product(random, window, outputs, largest, bounds)
            made.append((layer, generic.choose, fast.choose))
    return made


def program() -> Program:
    """One call of the generic kernel and one of the DSP kernel for every layer, from one input to two outputs."""
    inputs, outputs, calls = [], [], []
    constants, kernels = {}, {}
    for number, (layer, *chooses) in enumerate(layers()):
        window = layer.window
        inputs.append(
            TensorSpec(name=f"x{number}", shape=(1, window.height * window.width * window.channels), dtype="int8")
        )
        for kind, choose in zip(("generic", "dsp"), chooses, strict=True):
            kernel = choose(layer)
            assert kernel is not None, f"no {kind} kernel takes {window}"
            output = TensorSpec(name=f"{kind}{number}", shape=(1, elements(layer)), dtype="int8")
            outputs.append(output)
            calls.append(call_of(kernel, inputs[-1].name, output.name))
            constants |= {f"{output.name}_{role}": value for role, value in kernel.constants.items()}
            kernels.setdefault(kernel.name, kernel.build())
    return Program(
        name="layers",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        tensors={},
        constants=constants,
        calls=tuple(calls),
        kernels=kernels,
    )


def elements(layer: Product) -> int:
    return layer.window.output_height * layer.window.output_width * layer.outputs


def call_of(kernel: Kernel, source: str, output: str) -> Call:
    constants = (f"{output}_{role}" for role in kernel.constants)
    scalars = tuple(kernel.scalars)
    return Call(
        name=output, op="conv2d", kernel=kernel.name, arguments=(source, *constants), output=output, scalars=scalars
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("dsp") / "bundle"
    return assemble.write_bundle(program(), assemble.Origin(model_sha256="0" * 64), targets.load("mps2-an386"), folder)


def test_on_the_host_every_layer_gives_the_bytes_of_the_generic_kernel(bundle: Bundle) -> None:
    _, outputs = bundle.vectors()

    for number, (layer, *_) in enumerate(layers()):
        different = np.count_nonzero(outputs[f"dsp{number}"] != outputs[f"generic{number}"])
        assert not different, f"{different} bytes of layer {number} differ: {layer.window}, {layer.epilogue}"


def test_most_layers_give_more_than_a_few_values(bundle: Bundle) -> None:
    _, outputs = bundle.vectors()

    varied = [len(np.unique(outputs[f"dsp{number}"])) > 3 for number in range(len(layers()))]

    assert sum(varied) > len(varied) / 2


def test_under_the_sanitizers_the_bytes_are_the_same(bundle: Bundle, tmp_path: Path) -> None:
    link.build_reference(bundle.folder, assemble.NETWORK, tmp_path / "reference", sanitize=True)
    inputs, outputs = bundle.vectors()

    found = run_host_program(tmp_path / "reference", bundle.manifest.inputs, bundle.manifest.outputs, inputs)

    assert all(np.array_equal(found[name], outputs[name]) for name in outputs)


def test_a_cortex_m4_reproduces_the_bytes(bundle: Bundle) -> None:
    with qemu.connect(targets.load("mps2-an386")) as device:
        device.install(bundle)  # raises TransferError when a byte of the vectors differs

        assert isinstance(device, Device)
