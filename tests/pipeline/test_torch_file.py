"""models/torch_file: a function of the user's own, and .pt2 files, which may hold tensors and a graph but no code."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from edgecompress import models
from edgecompress.core import recipe
from edgecompress.core.errors import ConfigError, ModelError
from edgecompress.models import _torch_archive

SHAPES = {"image": (1, 1, 8, 8)}
NETWORKS = """
import torch
from torch import nn
from widths import WIDTH

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, WIDTH, 3, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.head = nn.Linear(WIDTH, 2)

    def forward(self, image):
        return self.head(self.body(image).mean((2, 3)))

def small():
    print("made")
    return Small()

def number():
    return 3

class Odd(nn.Module):
    def forward(self, image):
        return image if image.sum() > 0 else -image

def odd():
    return Odd()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "networks.py").write_text(NETWORKS)
    (tmp_path / "widths.py").write_text("WIDTH = 4\n")
    return tmp_path


def named(shape: tuple[int, ...] = (4, 1, 3, 3)) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = {"body.0.weight": shape, "body.1.weight": (4,), "body.1.bias": (4,), "body.1.running_mean": (4,)}
    state = {name: torch.randn(size, generator=draw) for name, size in shapes.items()}
    state |= {"body.1.running_var": torch.full((4,), 2.0), "body.1.num_batches_tracked": torch.tensor(1)}
    return state | {"head.weight": torch.randn(2, 4, generator=draw), "head.bias": torch.randn(2, generator=draw)}


def test_a_recipe_names_a_function_and_the_file_with_its_tensors(folder: Path, capfd: Any) -> None:
    torch.save(named(), folder / "weights.pt")
    (folder / "a.toml").write_text(
        'model = "networks:small"\nstate = "weights.pt"\nshapes = { image = [1, 1, 8, 8] }\n'
    )
    asked = recipe.load(folder / "a.toml")

    model = models.load(asked.model, name=asked.name, shapes=asked.shapes, state=asked.state)

    assert [node.op_type for node in model.graph.graph.node] == ["Conv", "Relu", "ReduceMean", "Gemm"]
    assert (model.name, model.inputs[0].name, model.inputs[0].shape) == ("small", "image", (1, 1, 8, 8))
    assert asked.model_sources == (folder / "networks.py", folder / "weights.pt")
    assert capfd.readouterr().out == ""
    assert not any(node.metadata_props or node.doc_string for node in model.graph.graph.node)
    image = np.ones((1, 1, 8, 8), np.float32)
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"image": image})[0], by_hand(named(), image), rtol=1e-4)


def by_hand(state: dict[str, torch.Tensor], image: np.ndarray) -> np.ndarray:
    made = nn.functional.conv2d(torch.from_numpy(image), state["body.0.weight"])
    statistics = (state[f"body.1.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    made = nn.functional.batch_norm(made, *statistics).relu().mean((2, 3))
    return nn.functional.linear(made, state["head.weight"], state["head.bias"]).numpy()


@pytest.mark.parametrize(
    ("function", "shapes", "state", "message", "hint"),
    [
        (
            "networks:small",
            {},
            None,
            "model networks:small needs the shapes of its inputs",
            "add to the recipe: shapes = { image = [1, 3, 32, 32] }",
        ),
        (
            "networks:number",
            SHAPES,
            None,
            "model networks:number returned int",
            "return a torch.nn.Module",
        ),
        (
            "networks:smal",
            SHAPES,
            None,
            "model networks:smal: networks has no function 'smal'",
            "functions there: number, odd, small",
        ),
        (
            "networks:small",
            {"image": (1, 3, 8, 8)},
            None,
            (
                "model networks:small fails on (1, 3, 8, 8): RuntimeError: Given groups=1, weight of size "
                "[4, 1, 3, 3], expected input[1, 3, 8, 8] to have 1 channels, but got 3 channels instead"
            ),
            "correct `shapes` in the recipe",
        ),
        ("networks:small", SHAPES, "none.pt", "state file {folder}/none.pt does not exist", None),
        (
            "networks:small",
            SHAPES,
            "list.pt",
            "{folder}/list.pt holds no dict of tensors",
            "write it with torch.save(network.state_dict(), path)",
        ),
    ],
)
def test_what_is_wrong_with_a_function_is_said(
    folder: Path, function: str, shapes: dict[str, tuple[int, ...]], state: str | None, message: str, hint: str | None
) -> None:
    torch.save([torch.zeros(1)], folder / "list.pt")

    with pytest.raises(ConfigError) as caught:
        models.load(folder / function, shapes=shapes, state=folder / state if state else None)

    assert (caught.value.message, caught.value.hint) == (message.format(folder=folder), hint)


class Bomb:
    def __reduce__(self) -> Any:
        return exec, ("raise RuntimeError('it ran')",)


def test_a_state_that_is_a_pickle_is_refused_unread(folder: Path) -> None:
    (folder / "bomb.pt").write_bytes(pickle.dumps({"a": Bomb()}))

    with pytest.raises(ConfigError) as caught:
        models.load(folder / "networks:small", shapes=SHAPES, state=folder / "bomb.pt")

    assert caught.value.message.startswith(f"{folder}/bomb.pt is not a state dict: UnpicklingError")


def test_a_state_of_another_network_is_refused(folder: Path) -> None:
    torch.save(named((5, 1, 3, 3)), folder / "weights.pt")

    with pytest.raises(ConfigError) as caught:
        models.load(folder / "networks:small", shapes=SHAPES, state=folder / "weights.pt")

    assert "weights.pt does not fit: " in caught.value.message
    assert "size mismatch for body.0.weight" in caught.value.message


def test_a_network_that_decides_by_values_cannot_be_exported(folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        models.load(folder / "networks:odd", shapes=SHAPES)

    assert caught.value.message.startswith("model networks:odd cannot be exported to ONNX: ")


def test_a_state_goes_with_a_function_only(folder: Path) -> None:
    (folder / "a.toml").write_text('model = "net.onnx"\nstate = "weights.pt"\n')

    with pytest.raises(ConfigError) as caught:
        recipe.load(folder / "a.toml")

    assert '`state` goes with a model = "module:function"' in caught.value.message


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small network as torch.export.save writes it, for any batch."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: batch},))
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    torch.export.save(program, path)
    return path.read_bytes()


def test_a_pt2_file_becomes_the_same_network(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(archive)

    model = models.load(tmp_path / "net.pt2")

    assert [node.op_type for node in model.graph.graph.node] == ["Conv", "Relu", "Reshape", "Gemm"]
    assert (model.name, model.inputs[0].shape, model.outputs[0].shape) == ("net", (1, 1, 8, 8), (1, 2))


GRAPH = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"


def changed(archive: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    """Write the archive again with other entries."""
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        entries = {name.partition("/")[2]: found.read(name) for name in found.namelist()}
    change(entries)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as made:
        for name, content in entries.items():
            made.writestr(f"net/{name}", content)
    return written.getvalue()


def pickled_weight(entries: dict[str, bytes]) -> None:
    config = json.loads(entries[WEIGHTS])
    name = sorted(config["config"])[0]
    config["config"][name]["use_pickle"] = True
    entries["data/weights/" + config["config"][name]["path_name"]] = pickle.dumps(Bomb())
    entries[WEIGHTS] = json.dumps(config).encode()


def pickled_inputs(entries: dict[str, bytes]) -> None:
    entries["data/sample_inputs/model.pt"] = pickle.dumps(Bomb())


def pickled_object(entries: dict[str, bytes]) -> None:
    entries["data/constants/opaque_obj_0"] = pickle.dumps(Bomb())


def compiled_code(entries: dict[str, bytes]) -> None:
    entries["data/aotinductor/model/model.so"] = b"\x7fELF"


def foreign_operator(entries: dict[str, bytes]) -> None:
    entries[GRAPH] = entries[GRAPH].replace(b"torch.ops.aten.relu.default", b"torch.os.system")


def size_as_code(entries: dict[str, bytes]) -> None:
    graph = json.loads(entries[GRAPH])
    graph["graph_module"]["graph"]["sym_int_values"]["s"] = {"as_expr": {"expr_str": "exec(chr(49))", "hint": None}}
    entries[GRAPH] = json.dumps(graph).encode()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pickled_weight, "'0.bias' is a pickled object, not a plain tensor"),
        (pickled_inputs, "its sample inputs are not plain tensors"),
        (pickled_object, "holds 'net/data/constants/opaque_obj_0', which is no part of a network"),
        (compiled_code, "holds 'net/data/aotinductor/model/model.so', which is no part of a network"),
        (foreign_operator, "calls 'torch.os.system'; only operators torch.ops.aten can be read"),
        (size_as_code, "computes a size by 'exec(chr(49))'"),
    ],
)
def test_a_pt2_file_that_would_run_code_is_refused(
    archive: bytes, change: Callable[[dict[str, bytes]], None], message: str, tmp_path: Path
) -> None:
    (tmp_path / "net.pt2").write_bytes(changed(archive, change))

    with pytest.raises(ModelError) as caught:
        models.load(tmp_path / "net.pt2")

    assert message in caught.value.message


def test_guards_of_a_pt2_file_are_left_out(archive: bytes) -> None:
    def guard(entries: dict[str, bytes]) -> None:
        entries[GRAPH] = json.dumps(json.loads(entries[GRAPH]) | {"guards_code": ["exec('1')"]}).encode()

    clean = _torch_archive.checked(changed(archive, guard), Path("net.pt2"))

    with zipfile.ZipFile(io.BytesIO(clean)) as found:
        assert json.loads(found.read(f"archive/{GRAPH}"))["guards_code"] == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"torch"])
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(content)

    with pytest.raises(ModelError) as caught:
        models.load(tmp_path / "net.pt2")

    assert caught.value.message.startswith(f"{tmp_path}/net.pt2 is not a .pt2 file, or is damaged: ")
