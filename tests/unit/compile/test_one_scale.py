"""Matrix products with one scale: what is cut, what is left alone, and the function's text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompress.compile import quantized
from edgecompress.compile.kernels import epilogue, families, one_scale
from edgecompress.compile.kernels.product import Kernel, Product
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel


def product_of(outputs: int, factors: tuple[float, ...] = (0.002,)) -> Product:
    weights = np.random.default_rng(0).integers(-127, 128, (outputs, 1, 1, 16)).astype(np.int8)
    bias, magnitudes = quantized.folded_bias(np.arange(outputs), weights, 0)
    multipliers = tuple(quantized.multiplier(factors[i % len(factors)]) for i in range(outputs))
    return Product(
        window=Window(height=1, width=1, channels=16, kernel=(1, 1)),
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

    found = one_scale.choose(product, generic)

    assert found is not None
    kernel, parts = found
    assert (parts.count, parts.outputs, parts.rows, parts.weights_bytes, parts.by_row) == (4, 80, 80, 80 * 16, True)
    assert kernel.constants["bias"].tolist() == generic(product).constants["table"][:, 0].tolist()
    assert kernel.constants["weights"].tobytes() == generic(product).constants["weights"].tobytes()
    assert kernel.scalars[-2:] == generic(product).constants["table"][0, 1:].tolist()


def test_a_table_by_columns_gives_its_biases_too() -> None:
    product = product_of(128)
    by_rows = generic(product)
    table = np.ascontiguousarray(by_rows.constants["table"].T)

    found = one_scale.choose(
        product, lambda _: replace(by_rows, constants={"weights": by_rows.constants["weights"], "table": table})
    )

    assert found is not None
    assert not found[1].by_row
    assert found[0].constants["bias"].tolist() == table[0].tolist()


def test_products_with_several_scales_few_outputs_or_many_rows_are_left_alone() -> None:
    wide = Window(height=1, width=7, channels=16, kernel=(1, 1))

    assert one_scale.choose(product_of(128, (0.002, 0.003)), generic) is None
    assert one_scale.choose(product_of(16), generic) is None
    assert one_scale.choose(replace(product_of(128), window=wide), generic) is None


def test_the_function_writes_a_parts_table_and_calls_the_kernel() -> None:
    found = one_scale.choose(product_of(256), generic)
    assert found is not None
    head = "const int8_t *restrict x, const int8_t *restrict w, const int32_t *restrict t,\n    int8_t *restrict y"
    kernel = CKernel(
        name="k", source=f"KERNEL void k({head}, int32_t zero, int32_t *restrict sums) {{\n}}\n", workspaces=(64,)
    )

    wrapped = found[1].wrap(kernel)

    assert (wrapped.workspaces, wrapped.calls) == ((64, 1536), ("k",))
    assert "const int32_t *bias, int8_t *y," in wrapped.source
    assert "    k(x, w + part * 2048u, table, y + part * 128u, zero, sums);\n" in wrapped.source
