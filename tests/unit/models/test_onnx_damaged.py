"""models/onnx_file: files that are damaged, foreign, too large, or whose weights lie elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto

from edgecompress import models
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model

Load = Callable[..., Model]
Network = Callable[..., ModelProto]
Refusal = Callable[..., tuple[str, str]]

RELU = "g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }"
ADD_WEIGHTS = "g (float[N,3] x) => (float[N,3] y) { y = Add(x, w) }"
QUANTIZE = "g (float[N,3] x) => (int8[N,3] y) <float s = {0.5}, int8 z = {0}> { y = QuantizeLinear(x, s, z) }"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        models.load(tmp_path / "gone.onnx")

    assert caught.value.message == f"model {tmp_path}/gone.onnx does not exist"
    assert caught.value.exit_code == 4


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").mkdir()

    with pytest.raises(ModelError) as caught:
        models.load(tmp_path / "net.onnx")

    assert caught.value.message == f"model {tmp_path}/net.onnx is not a file"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.onnx")

    with pytest.raises(ModelError) as caught:
        models.load(tmp_path / "net.onnx")

    assert caught.value.message == f"model {tmp_path}/net.onnx is not a file"


def test_an_unknown_suffix_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        models.load(Path("net.pt"))

    assert (caught.value.message, caught.value.hint) == (
        "net.pt: no model format has the suffix '.pt'",
        "known: .onnx, .tflite, .pt2",
    )


def test_a_truncated_file_is_refused(refusal: Refusal, small_cnn: ModelProto) -> None:
    whole = small_cnn.SerializeToString()

    assert refusal(whole[:-9]) == (
        f" is not an ONNX file, or is cut short ({len(whole) - 9:,} bytes)",
        "export the network again, or copy the file again",
    )


@pytest.mark.parametrize("content", [np.random.default_rng(0).bytes(1000), b"text"], ids=["random", "text"])
def test_bytes_that_are_no_model_are_refused(refusal: Refusal, content: bytes) -> None:
    assert refusal(content) == (
        f" is not an ONNX file, or is cut short ({len(content):,} bytes)",
        "export the network again, or copy the file again",
    )


def test_an_empty_file_is_refused(refusal: Refusal) -> None:
    assert refusal(b"") == (" holds no network", "it may be cut short, or not be an ONNX file")


def test_a_file_beyond_protobufs_limit_is_refused_unread(file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(2**31)

    with pytest.raises(ModelError) as caught:
        models.load(file)

    assert caught.value.message == f"{file} has 2,147,483,648 bytes; a model may have 2,147,483,647"


@pytest.mark.parametrize("version", [5, 999])
def test_an_operator_set_out_of_range_is_refused(refusal: Refusal, network: Network, version: int) -> None:
    proto = network(RELU)
    proto.opset_import[0].version = version

    message, hint = refusal(proto)

    assert message == f" uses operator set {version}; 7 to {onnx.defs.onnx_opset_version()} can be read"
    assert hint == "export the network with opset_version=17"


def test_damaged_steps_in_the_metadata_are_refused(refusal: Refusal, network: Network) -> None:
    proto = network(RELU)
    proto.metadata_props.add(key="edgecompress.steps", value="[{]")

    assert refusal(proto)[0] == ": the metadata edgecompress.steps is damaged"


def weights_outside(network: Network, file: Path, **changes: str) -> ModelProto:
    proto = network(ADD_WEIGHTS)
    (file.parent / "w.bin").write_bytes(np.ones(3, np.float32).tobytes())
    tensor = proto.graph.initializer.add(name="w", dims=[3], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "w.bin", "length": "12"} | changes).items():
        tensor.external_data.add(key=key, value=value)
    return proto


def test_weights_in_a_file_beside_the_model_are_read(network: Network, file: Path) -> None:
    onnx.save(weights_outside(network, file), file)

    assert [tensor.name for tensor in models.load(file).graph.graph.initializer] == ["w"]


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "a/../../w.bin", "link.bin", ""])
def test_weights_outside_the_models_folder_are_refused(
    load: Load, refusal: Refusal, network: Network, file: Path, location: str
) -> None:
    (file.parent / "link.bin").symlink_to("/etc/passwd")

    message, hint = refusal(weights_outside(network, file, location=location))

    assert message == f": the weights of 'w' lie at {location!r}, outside the model's folder"
    assert hint == "save the network as one file: onnx.save(onnx.load(path), new_path)"


def test_a_missing_weight_file_is_named(refusal: Refusal, network: Network, file: Path) -> None:
    message, _ = refusal(weights_outside(network, file, location="gone.bin"))

    assert message == ": the file 'gone.bin' with the weights of 'w' is missing"


def test_a_weight_file_that_is_too_short_is_refused(refusal: Refusal, network: Network, file: Path) -> None:
    message, hint = refusal(weights_outside(network, file, length="99"))

    assert message.startswith(": the weights of 'w' cannot be read: ")
    assert hint == "copy the model together with its data file"


@pytest.mark.parametrize(("dims", "shown"), [([4], "(4)"), ([2, 2], "(2, 2)"), ([-1], "(-1)"), ([], "()")])
def test_a_constant_with_too_few_or_many_values_is_refused(
    refusal: Refusal, network: Network, dims: list[int], shown: str
) -> None:
    proto = network(ADD_WEIGHTS, w=np.ones(3, np.float32))
    proto.graph.initializer[0].dims[:] = dims

    assert refusal(proto) == (
        f": the constant 'w' does not hold the values of its shape {shown}",
        "the file is damaged; export the network again",
    )


@pytest.mark.parametrize(
    "end",
    ["large = Constant <value_int = 9000000000> ()", "n = Constant <value_int = 90000> () large = Mul(n, n)"],
    ids=["said", "computed"],
)
def test_constants_that_folding_would_blow_up_are_refused(refusal: Refusal, end: str) -> None:
    text = (
        "g (float[N,3] x) => (float[N,3] y) { zero = Constant <value_int = 0> () one = Constant <value_int = 1> ()"
        f" {end} r = Range(zero, large, one) f = Cast <to = 1> (r) s = ReduceSum <keepdims = 0> (f) y = Add(x, s) }}"
    )

    message, _ = refusal(text)

    assert message.startswith(": the tensor 'r' (")
    assert message.endswith(" elements; 268,435,456 are allowed")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 1500)),
)
def test_a_damaged_file_is_a_model_or_a_model_error_and_nothing_else(
    load: Load, small_cnn: ModelProto, changes: list[tuple[int, int]], cut: int | None
) -> None:
    damaged = bytearray(small_cnn.SerializeToString())
    for position, value in changes:
        damaged[position % len(damaged)] = value

    try:
        model = load(bytes(damaged[:cut]))
    except ModelError:
        return
    assert model.inputs
