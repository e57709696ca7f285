from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from edgecompress.compile import sizes
from edgecompress.compile.program import Program
from edgecompress.compile.sizes import Footprint

SOURCE = """
const int weights[100] = {1};
int counter = 7;
char room[4096];
__attribute__((noinline)) static int work(int a) { room[a & 4095] = 1; return a * counter; }
int main(int argc, char **argv) { (void)argv; return work(argc) + weights[argc]; }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "main.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O1", "-o", folder / "main", folder / "main.c"], check=True)
    return folder / "main"


def test_a_footprint_is_what_the_size_program_says(program: Path) -> None:
    footprint = sizes.read_footprint(program)

    text, data, bss = map(int, subprocess.check_output(["size", program], text=True).splitlines()[1].split()[:3])
    assert footprint.flash_bytes == text + data
    assert footprint.static_ram_bytes == data + bss
    assert sum(footprint.sections.values()) == text + data + bss


def test_symbols_are_functions_and_objects_with_their_bytes(program: Path) -> None:
    symbols = sizes.read_footprint(program).symbols

    assert symbols["weights"] == 400
    assert symbols["room"] == 4096
    assert symbols["work"] > 0


@pytest.mark.parametrize(
    ("symbol", "function"),
    [
        ("conv.constprop.0", "conv"),
        ("conv.isra.0.cold", "conv"),
        ("conv.part.1", "conv"),
        ("conv", "conv"),
        ("conv.partial", "conv.partial"),
    ],
)
def test_what_gcc_split_off_counts_to_the_function(symbol: str, function: str) -> None:
    assert sizes.function_of(symbol) == function


def footprint(flash_bytes: int, static_ram_bytes: int, symbols: dict[str, int], functions: set[str]) -> Footprint:
    return Footprint(
        flash_bytes=flash_bytes,
        static_ram_bytes=static_ram_bytes,
        sections={".text": flash_bytes},
        symbols=symbols,
        functions=frozenset(functions),
    )


def test_the_network_is_the_difference_to_the_empty_firmware() -> None:
    symbols = {"weights_factors": 64, "affine": 100, "turn": 40, "model_run": 20, "microkernel": 60, "main": 900}
    whole = footprint(5_000, 700, symbols, {"affine", "turn", "model_run", "microkernel", "main"})
    empty = footprint(4_000, 600, {"main": 900}, {"main"})

    result = sizes.compare(whole, empty, {"factors": "weights_factors"})

    assert (result.flash_bytes, result.static_ram_bytes) == (1_000, 100)
    assert (result.firmware_flash_bytes, result.firmware_static_ram_bytes) == (5_000, 700)
    assert (result.weights_bytes, result.code_bytes) == (64, 220)


def test_what_layers_share_counts_to_the_first(two_layers: Program) -> None:
    again = dataclasses.replace(two_layers.calls[0], name="again")
    program = dataclasses.replace(two_layers, calls=(*two_layers.calls, again))
    whole = footprint(0, 0, {"weights_factors": 64, "affine": 100, "turn": 40}, {"affine", "turn"})

    layers = sizes.describe_layers(program, whole, {"factors": "weights_factors"})

    assert [layer.code_bytes for layer in layers] == [100, 40, 0]
    assert [layer.weight_bytes for layer in layers] == [64, 0, 0]
    assert layers[0].onnx_nodes == ("Gemm_0", "Relu_1")
    assert layers[1].output_shape == (1, 16)
