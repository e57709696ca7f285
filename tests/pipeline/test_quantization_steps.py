"""Quantization beside static int8: mixed precision, equalisation, bias correction, dynamic and 16-bit forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from digits import cnn, data, depthwise
from onnx import TensorProto, numpy_helper

from edgecompress import compile as compiler
from edgecompress.compress import (
    _quantization_error,
    _weights,
    dynamic_int8,
    equalize,
    int16_activations,
    mixed_precision,
    static_int8,
)
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.core.values import Array, Context, Finding, Model, no_progress
from edgecompress.measure.networks import score


def context(found: list[Finding] | None = None) -> Context:
    return Context(data=data(), where="r.toml: step 1", record=(found if found is not None else []).append)


def accuracy(model: Model) -> float:
    found = score.read(model, model, data().evaluation, "", no_progress).value
    assert found is not None
    return found


def int8_weights(model: Model) -> list[Array]:
    tensors = (tensor for tensor in model.graph.graph.initializer if tensor.data_type == TensorProto.INT8)
    return [numpy_helper.to_array(tensor) for tensor in tensors if len(tensor.dims) > 1]


def outputs(model: Model) -> Array:
    from edgecompress.measure import _outputs

    few = {name: array[:50] for name, array in data().evaluation.inputs.items()}
    return _outputs.of_onnxruntime(model, few, no_progress)[model.outputs[0].name]


def test_fewer_bits_leave_as_few_integers_in_every_layer_and_the_8_bit_grid_is_the_finest() -> None:
    for bits in (4, 3):
        assert all(len(np.unique(each)) <= 2**bits - 1 for each in int8_weights(_static(cnn(), weight_bits=bits)))
    array = np.random.default_rng(0).standard_normal((6, 5, 3, 3)).astype(np.float32)
    errors = [np.abs(_weights.to_grid(array, 0, bits) - array).max() for bits in (2, 4, 6, 8)]
    assert errors == sorted(errors, reverse=True)
    assert np.array_equal(_weights.to_grid(_weights.to_grid(array, 0, 4), 0, 4), _weights.to_grid(array, 0, 4))


def test_bias_correction_brings_a_coarse_network_nearer_to_the_float_one() -> None:
    def distance(model: Model) -> float:
        return float(np.square(outputs(model) - outputs(depthwise())).mean())

    coarse = _static(depthwise(), weight_bits=4)
    corrected = _static(depthwise(), weight_bits=4, correct_bias=True)

    assert distance(corrected) < 0.7 * distance(coarse)
    assert [each.tolist() for each in int8_weights(corrected)] == [each.tolist() for each in int8_weights(coarse)]


def test_the_error_of_every_layer_is_measured() -> None:
    found: list[Finding] = []
    static_int8.apply(cnn(), {}, context(found))

    by_layer, of_output = found
    figures = {series.name: dict(zip(series.x, series.y, strict=True)) for series in by_layer.series}
    assert set(figures) == {"as it comes out", "rounded by itself", "weights"}
    assert all(20 < value < 60 for value in figures["as it comes out"].values())
    assert min(figures["rounded by itself"].values()) > min(figures["as it comes out"].values())
    assert sum(of_output.series[0].y) == pytest.approx(1)


@pytest.mark.parametrize(("noise", "expected"), [(0.1, 20.0), (0.01, 40.0), (0.0, 99.0)])
def test_ten_times_less_noise_is_20_db_more(noise: float, expected: float) -> None:
    signal = np.ones(100)

    assert _quantization_error.sqnr_db(signal, signal + noise) == pytest.approx(expected)


def test_equalisation_changes_no_output_and_evens_out_the_ranges() -> None:
    network = _with_uneven_channels(cnn())
    even = equalize.apply(network, {}, context())

    assert np.abs(outputs(even) - outputs(network)).max() < 1e-4 * np.abs(outputs(network)).max()
    assert _spread(even) < 0.2 * _spread(network)
    assert accuracy(_static(even, per_channel=False)) > accuracy(_static(network, per_channel=False)) + 0.05


def _spread(model: Model) -> float:
    """How many times larger the largest channel of the second convolution is than the smallest."""
    layer = _weights.layers(model.graph)[0]
    reach = np.abs(layer.by_output(_weights.values(model.graph)[layer.weights])).max(axis=1)
    return float(reach.max() / reach.min())


def _with_uneven_channels(model: Model) -> Model:
    """Scale channels between the first two layers up and down; the network computes the same."""
    first, second = _weights.layers(model.graph)[:2]
    arrays = _weights.values(model.graph)
    factors = np.geomspace(0.02, 50, len(arrays[first.weights]))
    bias = model.graph.graph.node[0].input[2]
    changed = {
        first.weights: arrays[first.weights] * factors.reshape(-1, 1, 1, 1),
        bias: arrays[bias] * factors,
        second.weights: arrays[second.weights] / factors.reshape(1, -1, 1, 1),
    }
    return dataclasses.replace(model, graph=_weights.replaced(model.graph, changed))


def test_mixed_precision_meets_its_budget_and_spares_the_layers_that_matter() -> None:
    found: list[Finding] = []
    mixed = mixed_precision.apply(cnn(), {"size": 0.6, "bits": (4,)}, context(found))

    weights = int8_weights(mixed)
    taken = sum(each.size * (0.5 if len(np.unique(each)) <= 16 else 1) for each in weights)
    assert 0.5 < taken / sum(each.size for each in weights) <= 0.6
    assert accuracy(mixed) > 0.98
    sensitivity = dict(zip(found[0].series[0].x, found[0].series[0].y, strict=True))
    coarse = [error for name, error in sensitivity.items() if "(4 bits)" in str(name)]
    fine = [error for name, error in sensitivity.items() if "(8 bits)" in str(name)]
    assert coarse
    assert max(fine) == max(sensitivity.values())
    assert mixed.steps[-1].options["size"] == 0.6


def test_layers_that_are_to_be_kept_stay_at_8_bits() -> None:
    names = [layer.name for layer in _weights.layers(cnn().graph)]
    mixed = mixed_precision.apply(cnn(), {"size": 0.9, "keep": (*names[:1], *names[2:])}, context())

    coarse = [len(np.unique(each)) <= 16 for each in int8_weights(mixed)]
    assert coarse.count(True) == 1
    with pytest.raises(ConfigError, match=r"size = 0\.6 cannot be met: 1 is the least with bits = \[4\]"):
        mixed_precision.apply(cnn(), {"size": 0.6, "keep": tuple(names)}, context())


def test_dynamic_and_16_bit_networks_run_and_the_compiler_names_what_it_lacks() -> None:
    for method in (dynamic_int8, int16_activations):
        quantized = method.apply(cnn(), {}, context())

        assert accuracy(quantized) > 0.985
        with pytest.raises(ModelError, match=r"ConvInteger|int16"):
            compiler.check(quantized, targets.load("mps2-an386"), "balanced")


@pytest.mark.parametrize("method", [dynamic_int8, int16_activations, mixed_precision, equalize])
def test_a_quantized_network_is_refused(method: object) -> None:
    with pytest.raises(ModelError, match="is already quantized"):
        method.apply(_static(cnn()), {}, context())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "'size': Input should be less than 1"),
        ({"bits": (8,)}, r"bits = \[8\]"),
        ({"bits": ()}, r"bits = \[\]"),
        ({"keep": ("x",)}, "keep names no layer: 'x'"),
    ],
)
def test_wrong_options_of_mixed_precision_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mixed_precision.apply(cnn(), options, context())  # type: ignore[arg-type]


def _static(model: Model, **options: int | bool) -> Model:
    return static_int8.apply(model, options, context())
