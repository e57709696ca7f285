"""Products of two tensors and images of another size in QDQ networks: integers, beside ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.core import target as targets

SHAPE = (1, 5, 9, 7)
COUNT = 8

LARGEST = (
    "bm = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a) bq = QuantizeLinear (bm, s0, z0) "
    "b = DequantizeLinear (bq, s0, z0)"
)
AVERAGED = "pm = GlobalAveragePool (a) pq = QuantizeLinear (pm, s1, z1) p = DequantizeLinear (pq, s1, z1)"
ROUNDED_DOWN = 'nearest_mode = "floor", coordinate_transformation_mode = "asymmetric"'
NODES: dict[str, tuple[str, tuple[int, ...], int]] = {
    "product": (f"{LARGEST} m = Mul (a, b)", SHAPE, 1),
    "product with a row": (f"{AVERAGED} q = Mul (p, a) m = Relu (q)", SHAPE, 1),
    "nearest": ('m = Resize <mode = "nearest"> (a, none, none, sizes)', (1, 5, 18, 14), 0),
    "nearest, rounded down": (
        f'm = Resize <mode = "nearest", {ROUNDED_DOWN}> (a, none, none, sizes)',
        (1, 5, 13, 4),
        0,
    ),
    "linear": ('m = Resize <mode = "linear"> (a, none, none, sizes)', (1, 5, 18, 14), 1),
    "linear between corners": (
        'm = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (a, none, none, sizes)',
        (1, 5, 31, 5),
        1,
    ),
    "linear of PyTorch": (
        'm = Resize <mode = "linear", coordinate_transformation_mode = "pytorch_half_pixel"> (a, none, none, sizes)',
        (1, 5, 1, 57),
        1,
    ),
    "zeros around": ("m = Pad (a, widths)", (1, 5, 12, 9), 0),
    "a number around": ("m = Pad (a, widths, number)", (1, 5, 12, 9), 0),
}
"""By what they are: the nodes, the shape that they make, the most steps from ONNX Runtime."""

OPERATIONS = {
    "product": ["max_pool", "multiply"],
    "product with a row": ["mean", "multiply"],
    "zeros around": ["pad"],
    "a number around": ["pad"],
}


def network(nodes: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    """int8 `x` to int8 `y`: the nodes read it as `a` and make `m`."""
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> '
        f"g (int8[{','.join(map(str, SHAPE))}] x) => (int8[{','.join(map(str, shape))}] y) {{"
        f"a = DequantizeLinear (x, s0, z0) {nodes} y = QuantizeLinear (m, s2, z2) }}"
    )
    proto = onnx.parser.parse_model(text.replace("none", ""))
    same = "Resize" in nodes or "Pad" in nodes
    scales = {"s0": 0.05, "s1": 0.011, "s2": 0.05 if same else 0.13}
    zeros = {"z0": -7, "z1": -100, "z2": -7 if same else 5}
    constants = {
        **{name: np.float32(value) for name, value in scales.items()},
        **{name: np.int8(value) for name, value in zeros.items()},
        "sizes": np.array(shape, np.int64),
        "widths": np.array([0, 0, 1, 0, 0, 0, 2, 2], np.int64),
        "number": np.float32(1.26),
    }
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in read
    )
    return proto


@pytest.mark.parametrize("name", NODES)
def test_a_layer_is_computed_in_integers_and_stays_beside_onnx_runtime(name: str, tmp_path: Path) -> None:
    nodes, shape, most = NODES[name]
    proto = network(nodes, shape)
    onnx.save(proto, tmp_path / "net.onnx")
    samples = np.random.default_rng(9).integers(-128, 128, (COUNT, *SHAPE[1:])).astype(np.int8)

    bundle = compiler.build(models.load(tmp_path / "net.onnx"), targets.load("host"), tmp_path / "bundle")
    (found,) = bundle.run_on_host({"x": samples}).values()

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = np.concatenate([session.run(None, {"x": sample[np.newaxis]})[0] for sample in samples])
    apart = np.abs(found.reshape(wanted.shape).astype(int) - wanted)
    operations = [layer.op for layer in bundle.manifest.layers if layer.op != "transpose"]
    assert operations == OPERATIONS.get(name, ["resize"])
    assert apart.max() <= most
    assert len(np.unique(wanted)) > 50
