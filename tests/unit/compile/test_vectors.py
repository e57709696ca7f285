from __future__ import annotations

import numpy as np
import pytest

from edgecompress.compile import vectors
from edgecompress.core.values import Samples, TensorSpec

SPECS = (
    TensorSpec(name="a", shape=(1, 500), dtype="int8", scale=0.1, zero_point=3),
    TensorSpec(name="b", shape=(1, 4, 50), dtype="float32"),
)


def test_seeded_integers_span_their_type_and_floats_lie_between_0_and_1() -> None:
    inputs = vectors.seeded_inputs(SPECS)

    assert inputs["a"].shape == (8, 500)
    assert (inputs["a"].min(), inputs["a"].max()) == (-128, 127)
    assert inputs["b"].dtype == np.float32
    assert 0 <= inputs["b"].min() < 0.01
    assert 0.99 < inputs["b"].max() < 1


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "bool", "float32"])
def test_every_type_of_input_is_drawn(dtype: str) -> None:
    spec = TensorSpec.model_validate({"name": "x", "shape": (1, 3), "dtype": dtype})

    assert str(vectors.seeded_inputs((spec,))["x"].dtype) == dtype


def test_seeded_inputs_are_the_same_every_time() -> None:
    one, other = vectors.seeded_inputs(SPECS), vectors.seeded_inputs(SPECS)

    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_samples_are_taken_as_they_come() -> None:
    samples = Samples(inputs={"a": np.zeros((3, 500), np.int8), "b": np.ones((3, 4, 50), np.float32)})

    inputs, about = vectors.choose_inputs(SPECS, samples)

    assert inputs["b"].shape == (3, 4, 50)
    assert about.model_dump() == {"count": 3, "origin": "data", "seed": None}
