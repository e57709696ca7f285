"""The sparse kernels on random layers: the generic kernels' bytes, on the host and on a board with DSP instructions."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import product_layers
import pytest
from product_layers import CONVOLUTIONS, ENDINGS, Compared

from edgecompress.compile import assemble, quantized
from edgecompress.compile.kernels import convolution, epilogue, sparse_product
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.window import Window
from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.deploy import qemu

TARGET = targets.load("mps2-an386")
MORE = (
    (Window(height=1, width=1, channels=1500, kernel=(1, 1)), 5),
    (Window(height=6, width=8, channels=12, kernel=(3, 3), padding=(1, 1, 1, 1)), 9),
)
"""Weights further apart than a byte says, and a row of several whole tiles."""
KEPT = (0.02, 0.2, 0.6)


def sparse(layer: Product, kept: float, random: np.random.Generator) -> Product:
    """Take weights out of a layer; its first output loses all of them."""
    weights = np.where(random.random(layer.weights.shape) < kept, layer.weights, 0).astype(np.int8)
    weights[0] = 0
    bias, magnitudes = quantized.folded_bias(random.integers(-900, 900, len(weights)), weights, layer.input_zero)
    ending = epilogue.choose(layer.multipliers, magnitudes, layer.low, layer.high)
    return dataclasses.replace(layer, weights=weights, bias=bias, magnitudes=magnitudes, epilogue=ending)


@functools.cache
def layers() -> tuple[Compared, ...]:
    random = np.random.default_rng(5)
    drawn = [
        sparse(
            product_layers.product(random, window, outputs, *ENDINGS[number % len(ENDINGS)]), KEPT[number % 3], random
        )
        for number, (window, outputs) in enumerate((*CONVOLUTIONS, *MORE))
    ]
    return tuple(
        Compared(product=each, generic=convolution.choose, fast=functools.partial(sparse_product.choose, pixels=pixels))
        for each in drawn
        for pixels in sparse_product.sizes(each)
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("sparse") / "bundle"
    program = product_layers.program(layers())
    return assemble.write_bundle(program, assemble.Origin(model_sha256="0" * 64), TARGET, folder)


def test_most_windows_have_a_sparse_kernel() -> None:
    assert len({layer.product.window for layer in layers()}) >= len(CONVOLUTIONS) - 2


def test_sparse_kernels_give_the_generic_kernels_bytes(bundle: Bundle) -> None:
    _, outputs = bundle.vectors()

    for number in range(len(layers())):
        assert np.array_equal(outputs[f"fast{number}"], outputs[f"generic{number}"]), layers()[number].product.window


def test_the_board_gives_the_same_bytes(bundle: Bundle) -> None:
    with qemu.connect(TARGET) as device:
        device.install(bundle)  # compares the test vectors
