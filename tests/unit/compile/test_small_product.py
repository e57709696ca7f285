"""Matrix products for the smallest flash: what is cut, what is packed, what is left alone, and the functions' text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompress.compile import narrow, quantized
from edgecompress.compile.kernels import epilogue, families, small_product
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.part_tables import OneScale
from edgecompress.compile.program import CKernel


def product_of(outputs: int, factors: tuple[float, ...] = (0.002,), inputs: int = 16, largest: int = 127) -> Product:
    weights = np.random.default_rng(0).integers(-largest, largest + 1, (outputs, 1, 1, inputs)).astype(np.int8)
    bias, magnitudes = quantized.folded_bias(np.arange(outputs), weights, 0)
    multipliers = tuple(quantized.multiplier(factors[i % len(factors)]) for i in range(outputs))
    return Product(
        window=Window(height=1, width=1, channels=inputs, kernel=(1, 1)),
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


def generic(product: Product) -> Kernel:
    return families.choose(product, ())


def test_outputs_are_cut_into_equal_parts_with_a_bias_each() -> None:
    product = product_of(320)

    found = small_product.choose(product, generic)

    assert found is not None
    kernel, parts = found
    assert (parts.count, parts.outputs, parts.rows, parts.weights_bytes) == (4, 80, 80, 80 * 16)
    assert (parts.table, parts.packing) == (OneScale(by_row=True), None)
    assert kernel.constants["bias"].tolist() == generic(product).constants["table"][:, 0].tolist()
    assert kernel.constants["weights"].tobytes() == generic(product).constants["weights"].tobytes()
    assert kernel.scalars[-2:] == generic(product).constants["table"][0, 1:].tolist()


def test_a_table_by_columns_gives_its_biases_too() -> None:
    product = product_of(128)
    by_rows = generic(product)
    table = np.ascontiguousarray(by_rows.constants["table"].T)

    found = small_product.choose(
        product, lambda _: replace(by_rows, constants={"weights": by_rows.constants["weights"], "table": table})
    )

    assert found is not None
    assert found[1].table == OneScale(by_row=False)
    assert found[0].constants["bias"].tolist() == table[0].tolist()


def test_products_with_several_scales_few_outputs_or_many_rows_are_left_alone() -> None:
    wide = Window(height=1, width=7, channels=16, kernel=(1, 1))

    assert small_product.choose(product_of(128, (0.002, 0.003)), generic) is None
    assert small_product.choose(product_of(16), generic) is None
    assert small_product.choose(replace(product_of(128), window=wide), generic) is None


def test_the_function_writes_a_parts_table_and_calls_the_kernel() -> None:
    found = small_product.choose(product_of(256), generic)
    assert found is not None
    head = "const int8_t *restrict x, const int8_t *restrict w, const int32_t *restrict t,\n    int8_t *restrict y"
    kernel = CKernel(
        name="k", source=f"KERNEL void k({head}, int32_t zero, int32_t *restrict sums) {{\n}}\n", workspaces=(64,)
    )

    wrapped = found[1].wrap({found[1].kernel: kernel})

    assert (wrapped.workspaces, wrapped.calls) == ((64, 1536), ("k",))
    assert "const int32_t *bias, int8_t *y," in wrapped.source
    assert "    k(x, w + part * 2048u, table, y + part * 128u, zero, sums);\n" in wrapped.source


def test_small_weights_are_packed_part_by_part() -> None:
    product = product_of(64, inputs=128, largest=15)

    found = small_product.choose(product, generic)

    assert found is not None
    kernel, parts = found
    assert (parts.count, parts.outputs, parts.packing) == (4, 16, narrow.Blocks(weights_bytes=16 * 128))
    assert list(kernel.constants) == ["weights", "heads", "bias"]
    assert kernel.constants["weights"].nbytes <= 64 * 128 * 5 / 8 + 4
    assert kernel.constants["heads"].size == 64 * 128 // narrow.BLOCK_BYTES


def test_weights_that_packing_makes_little_smaller_are_left_as_they_are() -> None:
    found = small_product.choose(product_of(64, inputs=128, largest=127), generic)

    assert found is not None
    assert found[1].packing is None


def test_small_weights_of_several_scales_are_packed_and_keep_their_table() -> None:
    product = product_of(64, (0.002, 0.003), inputs=128, largest=3)

    found = small_product.choose(product, generic)

    assert found is not None
    kernel, parts = found
    assert (parts.table, parts.packing, parts.table_words) == (None, narrow.Blocks(weights_bytes=2048), 48)
    assert kernel.constants["table"].tobytes() == generic(product).constants["table"].tobytes()


def test_rows_that_are_too_long_for_the_memory_of_a_part_are_not_packed() -> None:
    long = small_product.MOST_WEIGHTS + 1

    assert small_product.choose(product_of(4, inputs=long, largest=1), generic) is None


def test_the_function_unpacks_a_parts_weights_and_calls_the_kernel() -> None:
    found = small_product.choose(product_of(64, inputs=128, largest=15), generic)
    assert found is not None
    head = "const int8_t *restrict x, const int8_t *restrict w, const int32_t *restrict t, int8_t *restrict y"
    kernel = CKernel(name="k", source=f"KERNEL void k({head}, int32_t zero) {{\n}}\n", workspaces=())

    wrapped = found[1].wrap({found[1].kernel: kernel})

    assert wrapped.workspaces == (16 * 12, 16 * 128)
    assert "const uint32_t *packed, const uint16_t *heads, const int32_t *bias, int8_t *y" in " ".join(
        wrapped.source.split()
    )
    assert "    packed = unpack_blocks(weights, packed, heads + part * 64u, 64u);\n" in wrapped.source
    assert "    k(x, (const int8_t *)weights, table, y + part * 16u, zero);\n" in wrapped.source
