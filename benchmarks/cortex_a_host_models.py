"""The files from which the other runtimes load the networks, each in the form in which it is fastest.

ONNX Runtime and OpenVINO read the ONNX file; of an int8 network also one whose activations are unsigned bytes, the same
arithmetic, for which x86 has instructions. LiteRT reads what tflite_networks.py writes of the same ONNX file, or
MLPerf Tiny's own int8 files. ncnn reads what pnnx makes of it, with its optimisations; pnnx makes no int8.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks import tflite_networks
from benchmarks.cortex_a_counts import Precision
from benchmarks.networks import load
from edgecompress.core import tools
from edgecompress.core.errors import ToolFailedError
from edgecompress.core.values import Array, Model

NETWORKS = {
    "resnet8": "ic_resnet8",
    "vww": "vww_mobilenetv1_025",
    "mbv2": "mobilenet_v2",
    "resnet18": "resnet18",
    "tr": "transformer",
}
"""As in baselines/x86_peers.csv, and as benchmarks/networks/load.py calls them."""

PACKAGES = ("onnxruntime==1.32.0", "ai-edge-litert==2.3.0", "ncnn==1.0.20261020", "openvino==2026.4.1", "numpy")
CONVERTER = "pnnx==20261020"
"""Installed without what it depends on, which is torch: the program inside stands by itself."""

_INSTALL_TIMEOUT_S = 1800.0
_CONVERT_TIMEOUT_S = 600.0
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class PeerFiles:
    """What each runtime loads, its variants; or why it cannot."""

    files: Mapping[str, tuple[Path, ...]]
    missing: Mapping[str, str] = field(default_factory=dict)
    values: Path
    """An input, as the ONNX file takes it."""


def make_environment() -> Path:
    """Install the peers into a virtual environment in the user's cache, once; return its Python."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "edgecompress" / "benchmark-peers"
    python, complete = folder / "bin" / "python", folder / "complete"
    wanted = "\n".join((*PACKAGES, CONVERTER))
    if complete.is_file() and complete.read_text() == wanted:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    tools.run(["python3", "-m", "venv", folder], timeout_s=_INSTALL_TIMEOUT_S)
    install: list[str | Path] = [python, "-m", "pip", "install", "--quiet"]
    tools.run([*install, *PACKAGES], timeout_s=_INSTALL_TIMEOUT_S)
    tools.run([*install, "--no-deps", CONVERTER], timeout_s=_INSTALL_TIMEOUT_S)
    complete.write_text(wanted)
    return python


def load_model(network: str, precision: Precision, folder: Path) -> Model:
    """Load a network as our compiler gets it."""
    return load.load(NETWORKS[network], "int8" if precision == "int8" else "float32", folder)


def write(model: Model, network: str, precision: Precision, folder: Path, python: Path) -> PeerFiles:
    """Write what the other runtimes load."""
    stem = f"{network}_{precision}"
    signed = folder / f"{stem}.onnx"
    signed.write_bytes(model.graph.SerializeToString())
    values = folder / f"{stem}_input.npy"
    np.save(values, load.noise(model, 1, _SEED).inputs[model.inputs[0].name])
    graphs: tuple[Path, ...] = (signed,)
    if precision == "int8":
        unsigned = folder / f"{stem}_unsigned.onnx"
        unsigned.write_bytes(with_unsigned_activations(model.graph).SerializeToString())
        graphs = (signed, unsigned)
    files: dict[str, tuple[Path, ...]] = {"onnxruntime": graphs, "openvino": graphs}
    missing: dict[str, str] = {}
    try:
        files["litert"] = (_write_tflite(model, network, precision, folder / f"{stem}.tflite"),)
    except tflite_networks.UnsupportedNetworkError as error:
        missing["litert"] = str(error)
    if precision == "int8":
        missing["ncnn"] = "its PyPI package has no ncnn2int8"
    else:
        try:
            files["ncnn"] = (_write_ncnn(signed, np.load(values), python),)
        except ToolFailedError as error:
            missing["ncnn"] = f"pnnx: {error.message}"
    return PeerFiles(files=files, missing=missing, values=values)


def _write_tflite(model: Model, network: str, precision: Precision, path: Path) -> Path:
    original = load.TINY / f"{NETWORKS[network]}_{precision}.tflite"
    if original.is_file():
        return original
    path.write_bytes(tflite_networks.convert(model.graph))
    return path


def _write_ncnn(graph: Path, values: Array, python: Path) -> Path:
    """Convert by the program inside the pnnx package."""
    folder = graph.parent / f"{graph.stem}_ncnn"
    folder.mkdir(exist_ok=True)
    copy = shutil.copy(graph, folder / "network.onnx")
    program = next(python.parents[1].glob("lib/python*/site-packages/pnnx/pnnx"))
    extents = ",".join(str(extent) for extent in values.shape)
    tools.run([program, copy, f"inputshape=[{extents}]"], timeout_s=_CONVERT_TIMEOUT_S, folder=folder)
    return folder / "network.ncnn"


def with_unsigned_activations(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Quantize activations to unsigned bytes instead: each 128 more, its zero point too. Weights stay as they are."""
    changed = onnx.ModelProto()
    changed.CopyFrom(graph)
    constants = {each.name: each for each in changed.graph.initializer}
    zeros: set[str] = set()
    for node in changed.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[0] in constants:
            continue
        name = f"{node.input[2]}/unsigned"
        if name not in zeros:
            values = numpy_helper.to_array(constants[node.input[2]]).astype(np.int16) + 128
            changed.graph.initializer.append(numpy_helper.from_array(values.astype(np.uint8), name))
            zeros.add(name)
        node.input[2] = name
    for info in (*changed.graph.input, *changed.graph.output):
        if info.type.tensor_type.elem_type == onnx.TensorProto.INT8:
            info.type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del changed.graph.value_info[:]
    return changed
