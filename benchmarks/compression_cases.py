"""What benchmarks/compression.py tries: every method on the networks of examples/digits, as steps of a recipe.

A network that is still float after its steps is quantized by static_int8 before it goes onto the device, so that all
figures of the device are those of int8 networks. `FIDELITY` are cases of networks without labelled data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgecompress.core import recipe
from edgecompress.core.recipe import Step
from edgecompress.core.values import Option

Network = Literal["cnn", "depthwise", "student"]
"""A network of examples/digits, trained; `student` is the small one, not trained at all."""
INT8 = Step(method="static_int8")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Steps on a network. `optimize` is the compiler's mode, `trains` whether a seed makes a difference."""

    network: Network
    name: str
    steps: tuple[Step, ...]
    optimize: Literal["balanced", "size"] = "balanced"

    @property
    def key(self) -> tuple[str, str]:
        """How bars name it."""
        return self.network, self.name


def _step(method: str, options: Mapping[str, Option] | None = None, **more: Option) -> Step:
    return Step(method=method, options={**(options or {}), **more})


TRAINING: Mapping[str, Mapping[str, Option]] = {
    "cnn": {"epochs": 20, "learning_rate": 4e-3},
    "depthwise": {"epochs": 40, "learning_rate": 5e-3},
}
STATIC: Mapping[str, Option] = {"epochs": 0, "steps": "observed"}
"""Quantization-aware training without any training."""
SHORT: Mapping[str, Option] = {"epochs": 10, "learning_rate": 1e-3}
STUDENT: Mapping[str, Option] = {"epochs": 60, "learning_rate": 4e-3}
"""How a student is trained, alone and by a teacher."""


def _cases_of(network: Network) -> tuple[Case, ...]:
    training = TRAINING[network]

    def case(name: str, *steps: Step, optimize: Literal["balanced", "size"] = "balanced") -> Case:
        return Case(network=network, name=name, steps=steps, optimize=optimize)

    pruned = _step("prune_channels", training, ratio=0.5)
    return (
        case("as given"),
        case("static int8", INT8),
        case("static int8, mode size", INT8, optimize="size"),
        case("static int8, per tensor", _step("static_int8", per_channel=False)),
        case("equalised, per tensor", _step("equalize"), _step("static_int8", per_channel=False)),
        case("static int8, symmetric, mse", _step("static_int8", symmetric=True, ranges="mse")),
        case("static 4-bit weights", _step("static_int8", weight_bits=4)),
        case("static 4-bit weights, biases corrected", _step("static_int8", weight_bits=4, correct_bias=True)),
        case("dynamic int8", _step("dynamic_int8")),
        case("16-bit activations", _step("int16_activations")),
        case("mixed precision, 0.6", _step("mixed_precision", size=0.6), optimize="size"),
        case("qat, 8 bits", _step("qat", SHORT)),
        case("qat, 4-bit weights", _step("qat", SHORT, weight_bits=4), optimize="size"),
        case(
            "static, all at 4 bits",
            _step("qat", STATIC, weight_bits=4, activation_bits=4, ends_in_8_bits=False),
            optimize="size",
        ),
        case(
            "qat, all at 4 bits",
            _step("qat", SHORT, weight_bits=4, activation_bits=4, ends_in_8_bits=False),
            optimize="size",
        ),
        case("channels pruned by half, l2", pruned),
        case("channels pruned by half, taylor", _step("prune_channels", training, ratio=0.5, criterion="taylor")),
        case(
            "channels pruned by half, batch norm", _step("prune_channels", training, ratio=0.5, criterion="batch_norm")
        ),
        case("channels pruned by half, fpgm", _step("prune_channels", training, ratio=0.5, criterion="fpgm")),
        case("an early exit", _step("early_exit", training, grid=2), INT8),
        case("one layer pruned", _step("prune_layers", training)),
        case("singular values, 0.9 of energy", _step("low_rank_svd", SHORT, rank_by="energy")),
        case("activation pca, 0.3", _step("activation_pca", training, ratio=0.3)),
    )


COMBINED = recipe.load(Path(__file__).parents[1] / "examples" / "digits" / "combined.toml").steps
"""Distil, prune, train with rounding: the recipe that examples/digits shows."""


def _cnn_only() -> tuple[Case, ...]:
    training = TRAINING["cnn"]
    student: Mapping[str, Option] = {**STUDENT, "student": "networks:student", "start": "scratch"}
    shared = (_step("codebook", SHORT, entries=16), INT8)
    deep = _step("deep_compression", training)
    sparse = _step("prune_weights", training, ratio=0.9)
    return (
        Case(network="cnn", name="tucker by half", steps=(_step("tucker", training, ratio=0.5, loss="fidelity"),)),
        Case(network="cnn", name="cp by half", steps=(_step("cp", training, ratio=0.5),)),
        Case(network="cnn", name="codebook of 16", steps=shared, optimize="size"),
        Case(network="cnn", name="powers of two", steps=(_step("power_of_two", SHORT), INT8), optimize="size"),
        Case(network="cnn", name="weights of 4 bits, float activations", steps=(_step("weight_only", bits=4),)),
        Case(network="cnn", name="nine tenths of the weights pruned", steps=(sparse, INT8), optimize="size"),
        Case(network="cnn", name="one of four weights", steps=(_step("prune_n_m", training, kept=1), INT8)),
        Case(network="cnn", name="dictionary of half", steps=(_step("filter_dictionary", training), INT8)),
        Case(network="cnn", name="deep compression", steps=(deep,)),
        Case(network="student", name="student alone", steps=(_step("fine_tune", STUDENT),)),
        Case(network="cnn", name="student distilled", steps=(_step("distill", student, mix=True, labels_weight=0.0),)),
        Case(network="cnn", name="combined", steps=COMBINED, optimize="size"),
    )


CASES: tuple[Case, ...] = (*_cases_of("cnn"), *_cnn_only(), *_cases_of("depthwise"))
