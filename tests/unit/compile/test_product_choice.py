"""Which kernel a layer of few values or many zeros gets, by what is saved; and how its weights are packed."""

from __future__ import annotations

import functools
from typing import Literal

import numpy as np
import pytest

from edgecompress.compile import codebook, quantized
from edgecompress.compile.kernels import epilogue, families, product_choice, sparse_product
from edgecompress.compile.kernels.product import Product
from edgecompress.compile.kernels.product_choice import Allowed, Currency
from edgecompress.compile.kernels.window import Window

Kind = Literal["any", "sixteen", "sparse"]
M4 = ("dsp",)


@functools.cache
def product(kind: Kind, pixels: int = 100) -> Product:
    random = np.random.default_rng(0)
    size = (32, 1, 1, 64)
    drawn = {
        "any": random.integers(-127, 128, size),
        "sixteen": random.choice(np.arange(-127, 128, 17), size),
        "sparse": random.integers(-127, 128, size) * (random.random(size) < 0.1),
    }
    weights = drawn[kind].astype(np.int8)
    bias, magnitudes = quantized.folded_bias(np.arange(32), weights, 0)
    multipliers = (quantized.multiplier(0.001),) * 32
    return Product(
        window=Window(height=1, width=pixels, channels=64, kernel=(1, 1)),
        weights=weights,
        bias=bias,
        magnitudes=magnitudes,
        multipliers=multipliers,
        epilogue=epilogue.choose(multipliers, magnitudes, -128, 127),
        input_zero=0,
        output_zero=0,
        low=-128,
        high=127,
    )


def chosen(
    kind: Kind, saves: Currency, pixels: int = 100, features: tuple[str, ...] = M4, least: int | None = 1
) -> str:
    """Say what computes a layer: the kernel's family, or the packing of its weights."""
    allowed = Allowed(saves=saves, room=4096, least_pixels=least)
    layer = product(kind, pixels)
    found = product_choice.choose(layer, lambda each: families.choose(each, features), features, allowed)
    packing = found.parts.packing if found.parts else None
    return packing.word if packing else found.kernel.name.split("_")[0]


@pytest.mark.parametrize("saves", ["flash", "instructions", "both"])
def test_weights_of_any_value_take_the_ordinary_kernel(saves: Currency) -> None:
    assert chosen("any", saves) == "dsp"


def test_indices_save_flash_and_no_instructions() -> None:
    assert chosen("sixteen", "flash") == "codebook_16"
    assert chosen("sixteen", "both") == "codebook_16"
    assert chosen("sixteen", "instructions") == "dsp"
    assert chosen("sixteen", "both", least=None) == "dsp"
    assert chosen("sixteen", "both", pixels=4, least=48) == "dsp"


def test_skipping_zeros_saves_both_but_on_cores_with_vectors() -> None:
    assert {chosen("sparse", saves) for saves in ("flash", "instructions", "both")} == {"sparse"}
    assert chosen("sparse", "instructions", features=("dsp", "mve")) == "mve"
    assert chosen("sparse", "flash", features=("dsp", "mve")) == "sparse"


@pytest.mark.parametrize(("count", "bits"), [(1, 2), (4, 2), (5, 3), (8, 3), (9, 4), (16, 4), (17, None)])
def test_an_index_has_the_bits_that_the_values_need(count: int, bits: int | None) -> None:
    assert codebook.width(np.arange(count).astype(np.int8)) == bits


@pytest.mark.parametrize("bits", codebook.WIDTHS)
def test_words_hold_the_places_of_pairs_in_order(bits: int) -> None:
    random = np.random.default_rng(bits)
    book = np.unique(random.integers(-128, 128, 2**bits)).astype(np.int8)
    values = random.choice(book, 47)

    words = codebook.pack(values, book, bits)

    per_word = 2 * codebook.pairs_of_word(bits)
    places = [int(word) >> bits * i & 2**bits - 1 for word in words for i in range(per_word)]
    assert book[places[:47]].tolist() == values.tolist()


def test_halfwords_of_two_channels_come_apart_again() -> None:
    random = np.random.default_rng(2)
    first, second = random.integers(-128, 128, (2, 30))
    packed = (second * 256 + first).astype("<i2").view(np.int8)

    assert codebook.split_halfwords(packed).tolist() == np.stack([first, second], axis=1).reshape(-1).tolist()


def test_entries_say_where_the_weights_lie_however_far_apart() -> None:
    weights = np.zeros((2, 1, 1, 900), np.int8)
    weights[0, 0, 0, [0, 5, 700, 899]] = (-128, 3, 127, -1)

    entries, counts = sparse_product.pack(weights)

    assert counts.tolist() == [6, 0]
    pairs = entries.reshape(-1, 2)[:6]
    places = np.cumsum(pairs[:, 0].astype(int))
    there = dict(zip(places.tolist(), pairs[:, 1].astype(np.int8).tolist(), strict=True))
    assert {place: weight for place, weight in there.items() if weight} == {0: -128, 5: 3, 700: 127, 899: -1}
