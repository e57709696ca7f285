"""Half precision: the exact bytes of numpy on every core, and networks within 1e-3 of ONNX Runtime."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import half_layers
import linux_cores
import numpy as np
import pytest
import vector_layers

from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compile import c_half, c_vector, graph, link
from edgecompress.compile.kernels import vector_core
from edgecompress.core import target as targets
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Array, Model, no_progress
from edgecompress.measure import _outputs

EXAMPLES = Path(__file__).parents[2] / "examples" / "mlperf_tiny"
LAYERS = 40
TRIPLES = 6000
STATED = 1e-3

CROSS = ("aarch64-linux-gnu-gcc", "-mcpu=cortex-a76")
EMULATOR = ("qemu-aarch64-static", "-cpu", "cortex-a76")
HERE = {"plain C": (), "F16C": ("-mfma", "-mavx2", "-mf16c"), "all that this machine has": None}


def here(flags: tuple[str, ...] | None) -> tuple[str, ...]:
    """The compiler for this machine, or skip where it lacks an instruction."""
    asked = link.reference_flags(targets.load("rpi5").computing_in("half")) if flags is None else flags
    known = Path("/proc/cpuinfo").read_text().split()
    if not {flag.removeprefix("-m") for flag in flags or ()}.issubset(known):
        pytest.skip("this machine lacks an instruction")
    return ("gcc", *asked)


@pytest.fixture(scope="module")
def cases(request: pytest.FixtureRequest) -> list[half_layers.Case]:
    generator = np.random.default_rng(16)
    return [half_layers.draw(generator) for _ in range(request.config.getoption("--layers") or LAYERS)]


CORE = vector_core.of(targets.load("rpi5"))
assert CORE is not None


@pytest.mark.parametrize("flags", HERE.values(), ids=HERE)
def test_random_layers_give_the_references_bytes_here(
    cases: list[half_layers.Case], flags: tuple[str, ...] | None, tmp_path: Path
) -> None:
    program = vector_layers.build(half_layers.write_program(cases, CORE), here(flags), tmp_path / "program")
    compare(cases, half_layers.run([program], cases, CORE))


def test_random_layers_give_the_references_bytes_on_a_cortex_a76(cases: list[half_layers.Case], tmp_path: Path) -> None:
    program = vector_layers.build(half_layers.write_program(cases, CORE), CROSS, tmp_path / "program")
    compare(cases, half_layers.run([*EMULATOR, program], cases, CORE))


def compare(cases: list[half_layers.Case], results: list[Array]) -> None:
    for number, (case, result) in enumerate(zip(cases, results, strict=True)):
        expected = half_layers.reference(case)
        assert np.array_equal(result, expected), (number, case.layer, np.abs(result - expected).max())


def triples() -> Array:
    """Halves (n, 3) to add the product of two to a third: any bits, and products halfway between two halves."""
    generator = np.random.default_rng(3)
    bits = generator.integers(0, 0x10000, (TRIPLES, 3), dtype=np.uint16)
    bits[(bits & 0x7C00) == 0x7C00] &= 0x83FF  # no infinity, no NaN
    values = bits.view(np.float16)
    odd = 2 * generator.integers(512, 1024, TRIPLES // 2) + 1
    values[::2, 0] = odd / 1024  # eleven bits times 1 + 2^-10 or 3/2: often halfway
    values[::2, 1] = generator.choice([1.0009765625, 1.5, 1.25, -1.0009765625], TRIPLES // 2)
    tiny = generator.choice([0.0, 2.0**-24, -(2.0**-24), 2.0**-14, -1.0, 2048.0], TRIPLES // 2)
    values[::2, 2] = tiny
    return values


def nearest(value: Fraction) -> float:
    """The half nearest to a number, of two the one with an even last bit; exact."""
    magnitude, sign = abs(value), -1.0 if value < 0 else 1.0
    if magnitude >= 65520:
        return sign * float("inf")
    exponent = -14
    while magnitude >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** (exponent - 10)
    return sign * float(round(magnitude / unit) * unit)  # Python rounds halves of fractions to even


PROGRAM = (
    half_layers.HEAD
    + "{functions}"
    + half_layers.ROOM
    + """
int main(void) {
  for (uint32_t n = 0; n < COUNTu; ++n) {
    const uint16_t *const from = take(48u);
    const half8 a = load_half8(from), b = load_half8(from + 8), c = load_half8(from + 16);
    const half8 results[2] = {fused_half8(c, a, b), product_half8(a, b)};
    give(results, sizeof results);
  }
  return 0;
}
"""
)


def exact(values: Array) -> Array:
    """Both results of each triple, by fractions."""
    rows = [[Fraction(float(each)) for each in row] for row in values]
    return np.array([[nearest(a * b + c), nearest(a * b)] for a, b, c in rows])


def computed(compiler_words: tuple[str, ...], emulator: tuple[str, ...], values: Array, folder: Path) -> Array:
    body = PROGRAM.replace("COUNT", str(TRIPLES // 8))
    functions = c_half.definitions(body)
    source = body.replace("{functions}", c_vector.definitions(functions + body) + functions)
    program = vector_layers.build(source, compiler_words, folder / "program")
    groups = np.ascontiguousarray(values.reshape(-1, 8, 3).transpose(0, 2, 1))
    done = subprocess.run([*emulator, program], input=groups.tobytes(), capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float16).reshape(-1, 2, 8).transpose(0, 2, 1).reshape(-1, 2)


@pytest.mark.parametrize("flags", HERE.values(), ids=HERE)
def test_a_fused_multiply_add_of_halves_is_rounded_once_here(flags: tuple[str, ...] | None, tmp_path: Path) -> None:
    values = triples()
    assert np.array_equal(computed(here(flags), (), values, tmp_path), exact(values))


def test_a_fused_multiply_add_of_halves_is_rounded_once_on_a_cortex_a76(tmp_path: Path) -> None:
    values = triples()
    assert np.array_equal(computed(CROSS, EMULATOR, values, tmp_path), exact(values))


@pytest.fixture(scope="module")
def resnet8() -> Model:
    return models.load(EXAMPLES / "ic_resnet8_fp32.onnx")


def test_a_network_is_computed_in_halves_as_far_as_the_stated_error_allows(resnet8: Model, tmp_path: Path) -> None:
    target = targets.load("rpi5").computing_in("half")
    bundle = compiler.build(resnet8, target, tmp_path / "bundle", optimize="size")
    inputs, outputs = bundle.vectors()
    ops = {layer.op for layer in bundle.manifest.layers}
    assert {"half_conv2d", "conv2d"} <= ops
    assert bundle.manifest.stated_relative_error == STATED
    with linux_cores.connect(target) as device:
        device.install(bundle)
        found = _outputs.of_device(device, bundle, inputs, no_progress)
    expected = _outputs.of_onnxruntime(resnet8, inputs, no_progress)
    for name, values in outputs.items():
        assert found[name].tobytes() == values.tobytes()
        error = np.abs(values - expected[name]).max(axis=1) / np.abs(expected[name]).max(axis=1)
        assert error.max() < STATED


def test_weights_that_are_multiplied_as_halves_are_stored_as_halves(resnet8: Model) -> None:
    target = targets.load("rpi5")
    kept = {
        arithmetic: sum(each.nbytes for each in graph.to_program(resnet8, device, "size").constants.values())
        for arithmetic, device in (("float", target), ("half", target.computing_in("half")))
    }
    assert kept["half"] < 0.7 * kept["float"]


def test_a_network_of_integers_is_no_network_for_half_precision() -> None:
    model = models.load(EXAMPLES / "ic_resnet8_int8.onnx")
    with pytest.raises(ConfigError) as error:
        graph.to_program(model, targets.load("rpi5").computing_in("half"))
    assert error.value.message == "ic_resnet8_int8 computes with integers; half precision is for networks of floats"
    assert error.value.hint == (
        "leave out --arithmetic half (in a target profile: arithmetic), or the step that quantizes"
    )
