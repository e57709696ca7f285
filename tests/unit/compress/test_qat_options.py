"""compress/qat and compress/fine_tune: what they refuse before torch is needed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from onnx import parser

from edgecompress.compress import fine_tune, qat
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Context, Model, Option, TensorSpec

GRAPH = """<ir_version: 8, opset_import: ["": 17]>
g (float[1,3] x) => (float[1,3] y) { y = Relu(x) }"""
QUANTIZED = """<ir_version: 8, opset_import: ["": 17]>
g (float[1,3] x) => (float[1,3] y) <float s = {0.5}, int8 z = {0}> {
    q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)
}"""


def network(text: str = GRAPH) -> Model:
    spec = TensorSpec(name="x", shape=(1, 3), dtype="float32")
    return Model(
        name="net", graph=parser.parse_model(text), inputs=(spec,), outputs=(spec.model_copy(update={"name": "y"}),)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_bits": 9}, "'weight_bits': Input should be less than or equal to 8 (got 9)"),
        ({"activation_bits": 1}, "'activation_bits': Input should be greater than or equal to 2 (got 1)"),
        ({"steps": "guessed"}, "'steps': Input should be 'learned' or 'observed' (got 'guessed')"),
        ({"epochs": -1}, "'epochs': Input should be greater than or equal to 0 (got -1)"),
    ],
)
def test_wrong_options_of_qat_are_refused(options: Mapping[str, Option], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        qat.apply(network(), options, Context(where="a.toml: step 2 (qat)"))

    assert caught.value.message == f"a.toml: step 2 (qat): {message}"


def test_qat_of_a_quantized_network_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        qat.apply(network(QUANTIZED), {}, Context())

    assert caught.value.message == "net is already quantized"
    assert caught.value.hint == "qat quantizes: take out the step that does it too"


def test_qat_without_data_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        qat.apply(network(), {}, Context())

    assert caught.value.message == "qat needs samples to train net with"
    assert caught.value.hint == "add a [data] table to the recipe"


def test_a_misspelt_option_of_fine_tune_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        fine_tune.apply(network(), {"epoch": 3}, Context(where="a.toml: step 1 (fine_tune)"))

    assert caught.value.message == "a.toml: step 1 (fine_tune): unknown key 'epoch'"
    assert caught.value.hint == "did you mean 'epochs'?"
