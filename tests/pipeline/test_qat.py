"""compress/qat: what was trained is what is exported, in the form of static_int8, and what the device computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import digits
import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto, numpy_helper

from benchmarks.networks import load
from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compress import _qat_graph, qat, static_int8
from edgecompress.compress._fake_quantization import (
    LargestSteps,
    LearnedSteps,
    ObservedSteps,
    QuantizedLayer,
    learned_activation,
    learned_weights,
)
from edgecompress.core import data, recipe
from edgecompress.core import target as targets
from edgecompress.core.values import Context, Data, Model, Option, Samples, no_progress
from edgecompress.deploy import qemu
from edgecompress.models import onnx_file

EXAMPLES = Path(__file__).parents[2] / "examples"
NARROW: Mapping[str, Option] = {"weight_bits": 4, "activation_bits": 4, "ends_in_8_bits": False}


def run(model: Model, samples: Samples) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = [{name: array[i : i + 1] for name, array in samples.inputs.items()} for i in range(samples.count)]
    return np.concatenate([session.run(None, feed)[0] for feed in feeds])


def accuracy(model: Model) -> float:
    scored = digits.data().evaluation
    return float(np.mean(run(model, scored).argmax(axis=1) == scored.labels))


def quantized(model: Model, **options: Option) -> Model:
    return qat.apply(model, options, Context(data=digits.data(), where="a.toml: step 1 (qat)"))


def operators(proto: ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node if node.op_type != "DequantizeLinear"]


def weights(proto: ModelProto) -> dict[str, np.ndarray]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    return {name: array for name, array in constants.items() if array.dtype == np.int8 and array.ndim > 1}


def test_with_8_bits_the_graph_has_the_form_of_static_int8() -> None:
    model = digits.cnn()
    static = static_int8.apply(model, {}, Context(data=digits.data()))

    trained = quantized(model, epochs=1)

    assert operators(trained.graph) == operators(static.graph)
    assert [node.name for node in trained.graph.graph.node] == [node.name for node in static.graph.graph.node]
    assert trained.steps[-1].method == "qat"


@pytest.mark.parametrize(
    "options",
    [
        {"weight_bits": 4},
        {"weight_bits": 4, "activation_bits": 4, "batch_norm": True},
        {"weight_bits": 3, "steps": "observed"},
    ],
    ids=str,
)
def test_torch_and_the_exported_network_agree(options: dict[str, Option], monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    plain = _qat_graph.plain
    monkeypatch.setattr(_qat_graph, "plain", lambda module: plain(trained.append(module) or module))

    exported = quantized(digits.depthwise(), epochs=1, **options)

    samples = digits.data().evaluation
    with torch.no_grad():
        simulated = trained[0](torch.from_numpy(samples.inputs["image"])).numpy()
    real = run(exported, samples)
    assert np.mean(simulated.argmax(axis=1) == real.argmax(axis=1)) > 0.995
    assert np.sqrt(np.mean((simulated - real) ** 2)) < 0.02 * real.std()


def test_training_gives_back_what_4_bits_cost() -> None:
    model = digits.depthwise()

    static = accuracy(quantized(model, epochs=0, steps="observed", **NARROW))
    trained = accuracy(quantized(model, epochs=8, **NARROW))

    assert trained >= static + 0.02


@pytest.mark.parametrize(("bits", "most"), [(2, 4), (4, 16), (8, 255)])
def test_weights_take_as_many_values_as_their_bits_allow(bits: int, most: int) -> None:
    trained = quantized(digits.cnn(), epochs=0, weight_bits=bits, ends_in_8_bits=False)

    for name, array in weights(trained.graph).items():
        assert len(np.unique(array)) <= most, name
        assert array.min() >= -(2 ** (bits - 1)), name
        assert array.max() < 2 ** (bits - 1), name


def test_the_first_and_the_last_layer_keep_8_bits_when_asked() -> None:
    trained = quantized(digits.cnn(), epochs=0, weight_bits=2)

    counts = {name.partition("_weight")[0]: len(np.unique(array)) for name, array in weights(trained.graph).items()}
    assert [name for name, count in counts.items() if count > 4] == ["first.convolution", "scores"]


def test_narrow_activations_are_cut_at_their_bits() -> None:
    trained = quantized(digits.cnn(), epochs=0, **NARROW)
    names = [node.output[0] for node in trained.graph.graph.node if node.op_type == "QuantizeLinear"]
    proto = ModelProto()
    proto.CopyFrom(trained.graph)
    infos = {info.name: info for info in proto.graph.value_info}
    proto.graph.output.extend(infos[name] for name in names)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    image = {"image": 3 * digits.data().evaluation.inputs["image"][:1]}

    for name, integers in zip(names, session.run(names, image), strict=True):
        assert integers.max() <= -128 + 15, name


def test_a_bound_that_the_learned_range_outgrew_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LearnedSteps, "step", property(lambda self: 3 * self.log_step.exp()))

    trained = quantized(digits.depthwise(), epochs=0)

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in trained.graph.graph.initializer}
    clips = [node for node in trained.graph.graph.node if node.op_type == "Clip"]
    assert {float(constants[node.input[2]]) for node in clips} == {6.0}


def test_a_run_that_was_interrupted_ends_with_the_same_network(tmp_path: Path) -> None:
    options: dict[str, Option] = {"epochs": 3, "batch_norm": True, "weight_bits": 4, "batch_size": 128}
    whole = quantized(digits.cnn(), **options)

    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("train") and done > total * 0.7:
            raise KeyboardInterrupt

    where = "a.toml: step 1 (qat)"
    with pytest.raises(KeyboardInterrupt):
        qat.apply(digits.cnn(), options, Context(data=digits.data(), where=where, scratch=tmp_path, progress=stop))
    again = qat.apply(digits.cnn(), options, Context(data=digits.data(), where=where, scratch=tmp_path))

    assert again.graph == whole.graph


@pytest.mark.parametrize("name", load.TINY_NAMES)
def test_a_network_trained_from_onnx_computes_the_same_bytes_on_the_board(name: str, tmp_path: Path) -> None:
    wakeword = recipe.load(EXAMPLES / "wakeword.toml")
    model = models.load(EXAMPLES / "mlperf_tiny" / f"{name}_fp32.onnx")
    options: dict[str, Option] = {"epochs": 1, "weight_bits": 4, "learning_rate": 1e-4}
    if name == "sww_stream" and wakeword.data is not None:
        used = data.load(wakeword.data, model.inputs)
        options |= {"activation_bits": 4}
    else:
        used = Data(calibration=load.noise(model, 8, seed=0), evaluation=load.noise(model, 2, seed=1))
        options |= {"loss": "fidelity", "held_out": 0.0}

    trained = qat.apply(model, options, Context(data=used))
    onnx_file.save(trained, tmp_path / "trained.onnx")
    board = targets.load("mps2-an386")
    bundle = compiler.build(models.load(tmp_path / "trained.onnx"), board, tmp_path / "bundle", samples=used.evaluation)

    with qemu.connect(board, None) as device:
        device.install(bundle, no_progress)  # raises when a test vector comes out otherwise


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_a_fake_quantizer_computes_what_onnx_does(bits: int) -> None:
    x = torch.linspace(-3, 5, 4001)
    quantizer = learned_activation(-2.0, 3.0, -128, -128 + 2**bits - 1)

    found = quantizer(x).detach().numpy()

    step, zero = np.float32(quantizer.step.item()), int(quantizer.zero_point)
    integers = np.clip(np.rint(x.numpy() / step) + zero, -128, -128 + 2**bits - 1)
    np.testing.assert_array_equal(found, (integers - zero).astype(np.float32) * step)
    assert quantizer(torch.zeros(1)).item() == 0


def test_the_gradient_of_a_learned_step_is_that_of_lsq() -> None:
    x = torch.tensor([-9.0, -0.3, 0.26, 1.4, 7.0])
    quantizer = LearnedSteps(torch.tensor(0.5), 0, -4, 3)

    quantizer(x).sum().backward()

    ratio = x / 0.5
    by_step = torch.where(ratio <= -4, -4.0, torch.where(ratio >= 3, 3.0, ratio.round() - ratio))
    assert quantizer.log_step.grad is not None
    torch.testing.assert_close(quantizer.log_step.grad, by_step.sum() * 0.5 / np.sqrt(5 * 3).item())


def test_the_first_steps_of_weights_have_the_least_error() -> None:
    weight = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    quantizer = learned_weights(weight, 4)
    largest = LargestSteps(7)

    errors = [(layer(weight) - weight).square().sum(1) for layer in (quantizer, largest)]

    assert (errors[0] <= errors[1]).all()
    assert (errors[0] < 0.8 * errors[1]).any()


def test_an_observed_range_follows_the_batches_and_rests_outside_of_training() -> None:
    quantizer = ObservedSteps(0.0, 1.0, -128, 127)

    quantizer.train()(torch.tensor([-1.0, 3.0]))
    assert (quantizer.low.item(), quantizer.high.item()) == pytest.approx((-0.05, 1.1))
    quantizer.eval()(torch.tensor([-9.0, 9.0]))
    assert (quantizer.low.item(), quantizer.high.item()) == pytest.approx((-0.05, 1.1))


def test_a_folded_layer_in_training_normalizes_by_its_batch_until_it_is_frozen() -> None:
    layer = torch.nn.Conv2d(2, 3, 1, bias=False)
    norm = torch.nn.BatchNorm2d(3)
    rounded = QuantizedLayer(layer, LargestSteps(127), norm).train()
    x = 5 + torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(1))

    made = rounded(x)
    assert made.mean((0, 2, 3)).abs().max() < 0.1
    _qat_graph.freeze_norms(rounded)
    kept = norm.running_mean.clone()
    rounded(x)

    assert torch.equal(norm.running_mean, kept)
    assert Counter(type(part) for part in rounded.plain().modules()) == {torch.nn.Conv2d: 1}
