"""The ARMv6-M kernels on random layers: the generic kernels' bytes on the host, and the assembler's are the C's."""

from __future__ import annotations

import functools
from pathlib import Path

import linking
import numpy as np
import product_layers
import pytest
from product_layers import BOUNDS, CONVOLUTIONS, ENDINGS, Compared

from benchmarks import cortex_m_figures
from edgecompress.compile import assemble, link
from edgecompress.compile.c_thumb import CHANNELS
from edgecompress.compile.kernels import convolution, families, thumb_convolution
from edgecompress.compile.kernels.window import Window
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle, run_host_program
from edgecompress.core.device import Device
from edgecompress.deploy import qemu

TARGET = cortex_m_figures.load_target("mps2-an385-m0plus")
"""Code for a Cortex-M0+ on a board with room for all layers."""

MORE = (
    (Window(height=1, width=1, channels=16, kernel=(1, 1)), 4),
    (Window(height=1, width=1, channels=1, kernel=(1, 1)), 4),
    (Window(height=4, width=5, channels=8, kernel=(3, 3), padding=(1, 1, 1, 1)), 16),
    (Window(height=2, width=2, channels=520, kernel=(2, 2)), 7),
    (Window(height=5, width=6, channels=12, kernel=(2, 2), stride=(2, 3), dilation=(2, 2), padding=(1, 0, 2, 1)), 13),
)
"""Whole turns of the microkernel only, single groups only, aligned runs across an edge, runs above 512 bytes."""

SINGLE = Window(height=1, width=40, channels=3, kernel=(1, 1))
LARGE_BIASES = tuple(2**bits for bits in range(12, 30))


@functools.cache
def layers() -> tuple[Compared, ...]:
    """Every shape of four channels or more; then biases of every size, scaled to about int8."""
    random = np.random.default_rng(7)
    shapes = [(window, outputs) for window, outputs in (*CONVOLUTIONS, *MORE) if outputs >= CHANNELS]
    products = [
        product_layers.product(random, window, outputs, *ENDINGS[number % len(ENDINGS)])
        for number, (window, outputs) in enumerate(shapes)
    ]
    products += [
        product_layers.product(random, SINGLE, 12, 300 / bias, bounds, bias)
        for bias in LARGE_BIASES
        for bounds in BOUNDS
    ]
    return tuple(
        Compared(product=product, generic=convolution.choose, fast=thumb_convolution.choose) for product in products
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("thumb") / "bundle"
    return assemble.write_bundle(
        product_layers.program(layers()), assemble.Origin(model_sha256="0" * 64), TARGET, folder
    )


def test_armv6_m_targets_take_these_kernels() -> None:
    layer = layers()[0].product

    names = [families.choose(layer, targets.load(name).features).name for name in ("microbit", "mps2-an385")]

    assert [name.split("_")[0] for name in names] == ["thumb", "convolution"]


def test_fewer_channels_than_a_tile_are_left_to_the_generic_kernel() -> None:
    layer = product_layers.product(np.random.default_rng(1), SINGLE, CHANNELS - 1, *ENDINGS[0])

    assert thumb_convolution.choose(layer) is None


def test_armv6_m_kernels_give_the_bytes_of_the_generic_ones(bundle: Bundle) -> None:
    _, outputs = bundle.vectors()

    for number, layer in enumerate(layers()):
        different = np.count_nonzero(outputs[f"fast{number}"] != outputs[f"generic{number}"])
        assert not different, f"{different} bytes of layer {number} differ: {layer.product.window}"


def test_most_armv6_m_layers_give_more_than_a_few_values(bundle: Bundle) -> None:
    _, outputs = bundle.vectors()

    varied = [len(np.unique(outputs[f"fast{number}"])) > 3 for number in range(len(layers()))]

    assert sum(varied) > len(varied) / 2


def test_under_the_sanitizers_armv6_m_kernels_give_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    linking.reference(bundle.folder, link.NETWORK, tmp_path / "reference", sanitize=True)
    inputs, outputs = bundle.vectors()

    found = run_host_program(tmp_path / "reference", bundle.manifest.inputs, bundle.manifest.outputs, inputs)

    assert all(np.array_equal(found[name], outputs[name]) for name in outputs)


def test_the_assembler_reproduces_the_bytes_of_the_plain_c(bundle: Bundle) -> None:
    with qemu.connect(TARGET) as device:
        device.install(bundle)  # raises TransferError when a byte of the vectors differs

        assert isinstance(device, Device)
