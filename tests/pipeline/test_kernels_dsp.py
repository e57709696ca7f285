"""The DSP kernels on random layers: the generic kernels' bytes on the host, under sanitizers and on a Cortex-M4."""

from __future__ import annotations

import functools
from pathlib import Path

import linking
import numpy as np
import product_layers
import pytest
from product_layers import CONVOLUTIONS, ENDINGS, Compared

from edgecompress.compile import assemble, link
from edgecompress.compile.kernels import convolution, depthwise, dsp_convolution, dsp_depthwise
from edgecompress.compile.kernels.window import Window
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle, run_host_program
from edgecompress.core.device import Device
from edgecompress.deploy import qemu

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


@functools.cache
def layers() -> tuple[Compared, ...]:
    """Every shape, each with another range of factors and other bounds."""
    random = np.random.default_rng(5)
    shapes = [(window, outputs) for window, outputs in CONVOLUTIONS] + [(window, 0) for window in DEPTHWISE]
    made: list[Compared] = []
    for number, (window, outputs) in enumerate(shapes):
        generic, fast = (convolution, dsp_convolution) if outputs else (depthwise, dsp_depthwise)
        for largest, bounds in (ENDINGS[number % 6], ENDINGS[(number + 2) % 6]):
            layer = product_layers.product(random, window, outputs, largest, bounds)
            made.append(Compared(product=layer, generic=generic.choose, fast=fast.choose))
    return tuple(made)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder, target = tmp_path_factory.mktemp("dsp") / "bundle", targets.load("mps2-an386")
    return assemble.write_bundle(
        product_layers.program(layers()), assemble.Origin(model_sha256="0" * 64), target, folder
    )


def test_on_the_host_every_layer_gives_the_bytes_of_the_generic_kernel(bundle: Bundle) -> None:
    _, outputs = bundle.vectors()

    for number, layer in enumerate(layers()):
        different = np.count_nonzero(outputs[f"fast{number}"] != outputs[f"generic{number}"])
        assert not different, f"{different} bytes of layer {number} differ: {layer.product.window}"


def test_most_layers_give_more_than_a_few_values(bundle: Bundle) -> None:
    _, outputs = bundle.vectors()

    varied = [len(np.unique(outputs[f"fast{number}"])) > 3 for number in range(len(layers()))]

    assert sum(varied) > len(varied) / 2


def test_under_the_sanitizers_the_bytes_are_the_same(bundle: Bundle, tmp_path: Path) -> None:
    linking.reference(bundle.folder, link.NETWORK, tmp_path / "reference", sanitize=True)
    inputs, outputs = bundle.vectors()

    found = run_host_program(tmp_path / "reference", bundle.manifest.inputs, bundle.manifest.outputs, inputs)

    assert all(np.array_equal(found[name], outputs[name]) for name in outputs)


def test_a_cortex_m4_reproduces_the_bytes(bundle: Bundle) -> None:
    with qemu.connect(targets.load("mps2-an386")) as device:
        device.install(bundle)  # raises TransferError when a byte of the vectors differs

        assert isinstance(device, Device)
