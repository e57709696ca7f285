"""Small networks written as text, and how these tests load them or are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper, parser

from edgecompress import models
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model

HEADER = '<ir_version: 8, opset_import: ["": 17]>\n'
SMALL_CNN = """
    g (float[N,4,6,6] x) => (float[N,3] y)
    <float s = {0.1}, int8 z = {0}, float[3] b = {0.1, 0.2, 0.3}, int64[2] flat = {1, 12}>
    {
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        c = Conv <kernel_shape = [3, 3], pads = [1, 1, 0, 0]> (d, w, b)
        r = Relu(c)
        p = MaxPool <kernel_shape = [2, 2], strides = [3, 3]> (r)
        f = Reshape(p, flat)
        m = MatMul(f, v)
        y = Add(m, b)
    }
"""


def write_network(text: str, **constants: np.ndarray) -> ModelProto:
    proto = parser.parse_model(HEADER + text)
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return proto


@pytest.fixture(scope="session")
def network() -> Callable[..., ModelProto]:
    """Make a network of a text in ONNX's own notation and of constants by name."""
    return write_network


@pytest.fixture(scope="session")
def small_cnn() -> ModelProto:
    draw = np.random.default_rng(0)
    return write_network(
        SMALL_CNN,
        w=draw.normal(size=(3, 4, 3, 3)).astype(np.float32),
        v=draw.normal(size=(12, 3)).astype(np.float32),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "net.onnx"


@pytest.fixture
def load(file: Path) -> Callable[..., Model]:
    """Write a network, its bytes or its text to `file` and load it."""

    def write_and_load(content: ModelProto | bytes | str, **options: Any) -> Model:
        proto = write_network(content) if isinstance(content, str) else content
        file.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
        return models.load(file, **options)

    return write_and_load


@pytest.fixture
def refusal(file: Path, load: Callable[..., Model]) -> Callable[..., tuple[str, str]]:
    """Load what must be refused; return the message without the file's path, and the hint."""

    def catch(content: ModelProto | bytes | str, **options: Any) -> tuple[str, str]:
        with pytest.raises(ModelError) as caught:
            load(content, **options)
        assert caught.value.hint is not None
        return caught.value.message.removeprefix(str(file)), caught.value.hint

    return catch
