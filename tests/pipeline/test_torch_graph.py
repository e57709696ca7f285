"""compress/torch_graph on whole networks: there and back, changed in between, with batch normalization put back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks import load, mobilenet_v2
from edgecompress import models
from edgecompress.compress import fine_tune, torch_graph
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Context, Data, Model, Samples, TensorSpec
from examples.digits import networks, train

TINY = Path(__file__).parents[2] / "examples" / "mlperf_tiny"


def tiny(name: str) -> Model:
    return models.load(TINY / f"{name}_fp32.onnx")


class Attention(nn.Module):
    """Two heads over six positions of width 8, and a feed-forward branch, each beside a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.project, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.further = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = torch.split(self.project(self.norm(x)), [8, 8, 8], 2)
        query, key, value = (parts[i].reshape(-1, 6, 2, 4).transpose(1, 2) for i in range(3))
        heads = torch.softmax(query @ key.transpose(2, 3) / 2.0, -1) @ value
        x = x + self.out(heads.transpose(1, 2).reshape(-1, 6, 8))
        further: torch.Tensor = self.further(x)
        return x + further


def written(module: nn.Module, shape: tuple[int, ...], outputs: tuple[int, ...], name: str = "net") -> Model:
    like = Model(
        name=name,
        graph=onnx.ModelProto(),
        inputs=(TensorSpec(name="x", shape=shape, dtype="float32"),),
        outputs=(TensorSpec(name="y", shape=outputs, dtype="float32"),),
    )
    return torch_graph.to_onnx(module, like=like)


def run(model: Model, samples: Samples) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = [{name: array[i : i + 1] for name, array in samples.inputs.items()} for i in range(samples.count)]
    return np.concatenate([session.run(None, feed)[0] for feed in feeds])


def tensors(samples: Samples) -> list[torch.Tensor]:
    return [torch.from_numpy(array) for array in samples.inputs.values()]


@pytest.mark.parametrize("name", load.TINY_NAMES)
def test_a_network_comes_back_from_torch_as_it_was(name: str) -> None:
    model = tiny(name)

    again = torch_graph.to_onnx(torch_graph.to_torch(model), like=model)

    assert [node.name for node in again.graph.graph.node] == [node.name for node in model.graph.graph.node]
    assert [node.op_type for node in again.graph.graph.node] == [node.op_type for node in model.graph.graph.node]
    assert (again.inputs, again.outputs, again.steps) == (model.inputs, model.outputs, model.steps)
    samples = load.noise(model, 4, seed=1)
    np.testing.assert_allclose(run(again, samples), run(model, samples), atol=1e-4)


def test_mobilenet_v2_goes_to_onnx_and_back() -> None:
    model = written(mobilenet_v2.build(), mobilenet_v2.SHAPE, (1, 1000))

    again = torch_graph.to_onnx(torch_graph.to_torch(model), like=model)

    counts = Counter(node.op_type for node in again.graph.graph.node)
    assert counts == {"Conv": 52, "Clip": 35, "Add": 10, "GlobalAveragePool": 1, "Reshape": 1, "Gemm": 1}


def test_attention_goes_to_onnx_and_to_batches_in_torch() -> None:
    model = written(Attention(), (1, 6, 8), (1, 6, 8))

    module = torch_graph.to_torch(model)
    again = torch_graph.to_onnx(module, like=model)

    assert module(torch.zeros(3, 6, 8)).shape == (3, 6, 8)
    counts = Counter(node.op_type for node in again.graph.graph.node)
    assert counts == Counter(node.op_type for node in model.graph.graph.node)
    assert {"Split", "MatMul", "Softmax", "LayerNormalization", "Erf"} <= set(counts)


def test_layers_are_called_as_in_onnx_and_take_any_batch() -> None:
    model = tiny("kws_dscnn")

    module = torch_graph.to_torch(model)

    names = {node.name for node in model.graph.graph.node if node.op_type in ("Conv", "Gemm")}
    assert names == {name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
    assert module(torch.zeros(5, 49, 10, 1)).shape == (5, 12)
    assert not module.training


def test_channels_that_went_and_layers_that_became_two_are_written() -> None:
    model = train.as_onnx(networks.cnn(), "cnn")
    module = torch_graph.to_torch(model)
    first, second = (module.get_submodule(f"{name}.convolution".replace(".", "_")) for name in ("first", "second"))
    first.weight, first.bias = nn.Parameter(first.weight[:9]), nn.Parameter(first.bias[:9])
    second.weight = nn.Parameter(second.weight[:, :9])
    hidden = module.get_submodule("hidden")
    narrow = nn.Sequential(nn.Linear(hidden.in_features, 6, bias=False), nn.Linear(6, hidden.out_features))
    module.add_module("hidden", narrow)

    again = torch_graph.to_onnx(module, like=model)

    shapes = {tensor.name: tuple(tensor.dims) for tensor in again.graph.graph.initializer}
    gemms = [node for node in again.graph.graph.node if node.op_type == "Gemm"]
    assert shapes["first.convolution_weight"][0] == 9
    assert [node.name for node in gemms] == ["hidden/0", "hidden/1", "scores"]
    assert shapes[gemms[0].input[1]] == (6, 128)


@pytest.mark.parametrize("name", ["kws_dscnn", "ic_resnet8"])
def test_a_batch_normalization_that_was_put_back_changes_nothing_until_it_is_trained(name: str) -> None:
    model = tiny(name)
    module = torch_graph.to_torch(model)
    samples = load.noise(model, 70, seed=0)

    restored = torch_graph.restore_batch_norm(module, samples)
    folded = torch_graph.fold_batch_norm(restored)

    counts = Counter(type(layer) for layer in restored.modules())
    assert counts[nn.BatchNorm2d] == counts[nn.Conv2d]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    with torch.no_grad():
        wanted = module(*tensors(samples))
        torch.testing.assert_close(restored(*tensors(samples)), wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(restored.train()(*tensors(samples)), wanted, atol=1e-3, rtol=0)
        torch.testing.assert_close(folded(*tensors(samples)), wanted, atol=1e-4, rtol=0)


def test_what_was_trained_in_a_batch_normalization_reaches_the_onnx_graph() -> None:
    model = tiny("kws_dscnn")
    samples = load.noise(model, 16, seed=0)
    restored = torch_graph.restore_batch_norm(torch_graph.to_torch(model), samples)
    norms = [layer for layer in restored.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.mul_(0.9)
            norm.bias.add_(0.1)
        wanted = restored(*tensors(samples)).numpy()

    again = torch_graph.to_onnx(restored, like=model)

    np.testing.assert_allclose(run(again, samples), wanted, atol=1e-4)
    assert len(again.graph.graph.node) == len(model.graph.graph.node)


def test_a_name_that_would_end_a_string_of_python_stays_a_name() -> None:
    model = written(nn.Sequential(nn.Linear(4, 3)), (1, 4), (1, 3))
    model.graph.graph.node[0].name = 'a"); raise SystemExit(("'

    module = torch_graph.to_torch(model)

    assert "SystemExit" in next(name for name, layer in module.named_modules() if isinstance(layer, nn.Linear))
    assert module(torch.zeros(2, 4)).shape == (2, 3)


class Odd(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.normalize(x) + torch.cumsum(x, 1)


def test_a_function_without_a_form_in_onnx_is_named() -> None:
    with pytest.raises(ModelError) as caught:
        written(Odd(), (1, 4), (1, 4))

    assert caught.value.message == "net: the function normalize ('normalize') has no form in ONNX here"


def test_a_module_that_decides_by_values_is_refused() -> None:
    class Deciding(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError) as caught:
        written(Deciding(), (1, 4), (1, 4))

    assert caught.value.message.startswith("torch.fx cannot trace Deciding: ")


def test_a_quantized_network_is_refused() -> None:
    model = models.load(TINY / "kws_dscnn_int8.onnx")

    with pytest.raises(ModelError) as caught:
        torch_graph.to_torch(model)

    assert caught.value.message == f"{model.name} is quantized; only float networks can be trained"
    assert caught.value.hint == "put the steps that train before those that quantize"


@pytest.mark.parametrize("loss", ["labels", "fidelity"])
def test_fine_tuning_leads_a_network_to_what_it_is_shown(loss: str) -> None:
    model = tiny("kws_dscnn")
    noise = load.noise(model, 96, seed=0)
    labels = np.arange(96) % 2
    shifted = {name: (array + labels[:, None, None, None]).astype(np.float32) for name, array in noise.inputs.items()}
    samples = Samples(inputs=shifted, labels=labels)
    options = {"epochs": 6, "batch_size": 16, "loss": loss, "learning_rate": 3e-3, "held_out": 0.0}

    tuned = fine_tune.apply(model, options, Context(data=Data(calibration=samples, evaluation=samples)))

    wanted = labels if loss == "labels" else run(model, samples).argmax(axis=1)
    assert np.mean(run(tuned, samples).argmax(axis=1) == wanted) > 0.95
    assert [step.method for step in tuned.steps] == ["fine_tune"]
    assert tuned.steps[0].options["batch_norm"] is True
    assert [node.name for node in tuned.graph.graph.node] == [node.name for node in model.graph.graph.node]
