"""Tables of which two words a row lie in flash: nothing is lost, and what does not fit is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compile.part_tables import TwoWords, definitions, two_words

LARGEST = 2**23 - 1


def test_bias_and_shift_come_back_from_their_word() -> None:
    random = np.random.default_rng(0)
    bias = np.array([*random.integers(-LARGEST - 1, LARGEST, 50), LARGEST, -LARGEST - 1])
    multiplier = random.integers(2**30, 2**31, 52)
    shift = np.array([*random.integers(-128, 128, 50), -128, 127])

    words = two_words(np.stack([bias, multiplier, shift]))

    assert words is not None
    assert (words.dtype, words.shape) == (np.int32, (52, 2))
    assert (words[:, 0] >> 8).tolist() == bias.tolist()
    assert (words[:, 0] & 255).astype(np.uint8).view(np.int8).tolist() == shift.tolist()
    assert words[:, 1].tolist() == multiplier.tolist()


@pytest.mark.parametrize(("bias", "shift"), [(LARGEST + 1, 0), (-LARGEST - 2, 0), (0, 128), (0, -129), (0, 1 << 16)])
def test_a_bias_or_shift_that_does_not_fit_leaves_the_table_alone(bias: int, shift: int) -> None:
    assert two_words(np.array([[5, bias], [2**30, 2**30], [1, shift]])) is None


@pytest.mark.parametrize(("by_row", "function"), [(True, "write_table_rows"), (False, "write_table_columns")])
def test_the_function_that_writes_a_table_is_defined_where_it_is_called(by_row: bool, function: str) -> None:
    called = TwoWords(by_row=by_row).write(16)

    assert called == f"    {function}(table, table_words + part * 32u, 16u);\n"
    assert definitions(called).count("static __attribute__((noinline)) void") == 1
    assert f"void {function}(" in definitions(called)
