"""Entropy coding: what is decoded is what was coded, and codes are as short as they can be."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgecompress.compress import _huffman, _layer_weights, _sparse_codes, _stored_form, codebook, weight_only
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model

RANDOM = np.random.default_rng(9)


def model_of(weights: NDArray[np.float32]) -> Model:
    """A convolution and a product of a matrix that is kept the other way round."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, weights.shape[1], 5, 5])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, len(weights), 3, 3])
    constants = [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.arange(5, dtype=np.float32), "b")]
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="layer")]
    graph = helper.make_graph(nodes, "net", [image], [scores], constants)
    return Model(name="net", graph=onnx.helper.make_model(graph), inputs=(), outputs=())


def decoded(model: Model) -> dict[str, NDArray[np.generic]]:
    layers = {each.tensor: each for each in _layer_weights.read(model)}
    return _stored_form.decode(_stored_form.encode(model), model.graph, layers)


@pytest.mark.parametrize("symbols", [[], [4], [7] * 20, [0, 1], [3, 0, 3, 3, 9, 0, 3]])
def test_symbols_come_back(symbols: list[int]) -> None:
    stream = _huffman.encode(np.array(symbols, np.int64))

    found, taken = _huffman.decode(stream + b"more")

    assert found.tolist() == symbols
    assert taken == len(stream)


def test_codes_are_within_a_bit_of_the_entropy() -> None:
    symbols = np.minimum(RANDOM.geometric(0.3, 4000) - 1, 30)
    counts = np.bincount(symbols)
    shares = counts[counts > 0] / len(symbols)

    lengths = np.array(_huffman.code_lengths(counts.tolist()))

    entropy = -(shares * np.log2(shares)).sum()
    assert entropy <= (lengths * counts).sum() / len(symbols) < entropy + 1
    assert (2.0 ** -lengths[lengths > 0]).sum() == 1


def test_no_code_is_longer_than_its_length_can_be_written() -> None:
    counts = [1, 1]
    while len(counts) < 30:
        counts.append(counts[-1] + counts[-2])

    lengths = _huffman.code_lengths(counts)

    assert max(lengths) <= _huffman.LONGEST
    assert sum(2.0**-length for length in lengths) <= 1


def test_a_broken_stream_is_an_error() -> None:
    stream = _huffman.encode(np.array([0, 1, 2, 3] * 50))

    with pytest.raises(ModelError) as broken:
        _huffman.decode(stream[:-40])
    with pytest.raises(ModelError) as empty:
        _huffman.decode(stream[:7])

    assert broken.value.message == "a coded tensor ends after 40 of 200 symbols"
    assert empty.value.message == "a coded tensor begins with 7 bytes that hold no code"


@pytest.mark.parametrize("kept", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("per_channel", [True, False])
def test_parameters_come_back_from_fewer_bytes(kept: float, per_channel: bool) -> None:
    weights = RANDOM.normal(size=(12, 30, 3, 3)).astype(np.float32) * (RANDOM.random((12, 30, 3, 3)) < kept)
    options = codebook.Options(entries=16, per_channel=per_channel)
    model = model_of(weights)
    layers = _layer_weights.read(model)
    graph = _layer_weights.replaced(model.graph, codebook.shared_weights(layers, options), layers)
    shared = Model(name="net", graph=graph, inputs=(), outputs=())

    found = decoded(shared)

    for tensor in graph.graph.initializer:
        assert np.array_equal(found[tensor.name], numpy_helper.to_array(tensor))
    assert len(_stored_form.encode(shared)) < weights.nbytes / 6 + 400


def test_weights_that_share_nothing_are_kept_as_they_are() -> None:
    model = model_of(RANDOM.normal(size=(3, 4, 3, 3)).astype(np.float32))

    assert len(_stored_form.encode(model)) == 3 * 4 * 9 * 4 + 5 * 4 + 2 * 2
    assert np.array_equal(decoded(model)["w"], numpy_helper.to_array(model.graph.graph.initializer[0]))


def test_a_matching_pursuit_with_every_signal_as_an_atom_is_exact() -> None:
    signals = RANDOM.normal(size=(6, 20))

    dictionary, codes = _sparse_codes.learn(signals, atoms=6, kept=1, rounds=3, seed=0)

    assert np.allclose(codes @ dictionary, signals)


def test_codes_have_few_numbers_and_more_of_them_are_nearer() -> None:
    signals = RANDOM.normal(size=(20, 12))
    errors = []

    for kept in (1, 3, 6):
        dictionary, codes = _sparse_codes.learn(signals, atoms=8, kept=kept, rounds=10, seed=0)
        assert np.count_nonzero(codes, axis=1).max() <= kept
        assert np.allclose(np.linalg.norm(dictionary, axis=1), 1)
        errors.append(float(np.square(signals - codes @ dictionary).sum()))

    assert errors == sorted(errors, reverse=True)


def test_weights_are_off_by_half_a_step_at_most_where_nothing_is_clipped() -> None:
    rows = RANDOM.normal(size=(5, 24))

    integers, scales = weight_only.quantize(rows, weight_only.Options(bits=4, group=8, clip=False))

    assert integers.shape == (15, 8)
    assert np.abs(integers).max() <= 7
    assert (np.abs(integers * scales[:, None] - rows.reshape(15, 8)) <= scales[:, None] * 0.5001).all()
