from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from edgecompress.compile import emit_c, emit_network, emit_weights, link, memory
from edgecompress.compile.program import CKernel, Program
from edgecompress.core.bundle import Arena
from edgecompress.core.errors import ModelError
from edgecompress.core.values import TensorSpec


@pytest.fixture
def arena(two_layers: Program) -> Arena:
    return memory.plan(memory.lifetimes(two_layers, {"turn": (16,)}))


def test_a_layer_says_where_it_comes_from_and_what_lies_where(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena
) -> None:
    model = emit_c.model_sources(two_layers, two_kernels, arena)["model.c"]

    assert (
        """\
    /* Layer 0, affine: dense
     * ONNX Gemm_0, Relu_1
     * in x: int8 1x16, arena 0 .. 15
     * out middle: int8 1x16, arena 16 .. 31
     */
    case 0:
      affine(at(0), weights_factors, at(16), 1);
      break;
"""
        in model
    )


def test_the_header_gives_inputs_and_outputs_their_place(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena
) -> None:
    header = emit_c.model_sources(two_layers, two_kernels, arena)["model.h"]

    assert "#define MODEL_LAYERS 2u\n#define MODEL_ARENA_BYTES 64u\n" in header
    assert "/* Input 0, x: int8 1x16, scale 0.5, zero point -3 */\n" in header
    assert "#define MODEL_INPUT_0 ((int8_t *)(void *)(model_arena + 0))\n" in header


def test_a_kernel_that_two_layers_call_is_printed_once(two_layers: Program, two_kernels: dict[str, CKernel]) -> None:
    again = dataclasses.replace(two_layers.calls[1], name="turn back", arguments=("middle",), output="y")
    program = dataclasses.replace(two_layers, calls=(*two_layers.calls, again))
    plan = memory.plan(memory.lifetimes(program, {"turn": (16,)}))

    model = emit_c.model_sources(program, two_kernels, plan)["model.c"]

    assert model.count("void turn(") == 1
    assert model.count("      turn(") == 2


def test_names_from_the_model_cannot_break_the_c(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena
) -> None:
    evil = dataclasses.replace(two_layers.calls[0], name="*/ int x; /*", onnx_nodes=("a\n#error",))
    program = dataclasses.replace(two_layers, name="*/", calls=(evil, two_layers.calls[1]))

    sources = emit_c.model_sources(program, two_kernels, arena)

    assert "* / int x; / *" in sources["model.c"]
    assert "\n#error" not in sources["model.c"]
    assert all(text.startswith("/* * /: ") for text in sources.values())


def test_weights_are_printed_exactly_and_only_those_in_use(two_layers: Program) -> None:
    values = np.array([0.1, -1e-40, 3.4028235e38, 2.0, np.inf, -np.inf, np.nan], np.float32)
    program = dataclasses.replace(two_layers, constants={"factors": values, "unused": values})

    source = emit_weights.weights_sources(program)["weights.c"]

    row = "  0.100000001f, -9.9999461e-41f, 3.40282347e+38f, 2.0f, INFINITY, -INFINITY, NAN,"
    assert f"const float weights_factors[7] __attribute__((aligned(16))) = {{\n{row}\n}};\n" in source
    assert "unused" not in source


def test_every_float_is_read_back_from_its_literal(two_layers: Program) -> None:
    values = np.random.default_rng(1).integers(0, 2**32, 4000, np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    program = dataclasses.replace(two_layers, constants={"factors": values})

    source = emit_weights.weights_sources(program)["weights.c"]

    literals = re.findall(r"(-?[\d.]+(?:e[+-]\d+)?)f,", source)
    assert np.array_equal(np.array(literals, np.float32), values)


def test_constants_of_equal_bytes_share_one_array_and_names_stay_apart(two_layers: Program) -> None:
    first = dataclasses.replace(two_layers.calls[0], arguments=("x", "a/b", "a:b", "copy"))
    constants = {"a/b": np.arange(4), "a:b": np.arange(5), "copy": np.arange(4)}
    program = dataclasses.replace(two_layers, constants=constants, calls=(first,))

    assert emit_weights.constant_names(program) == {
        "a/b": "weights_a_b",
        "a:b": "weights_a_b_2",
        "copy": "weights_a_b",
    }


def test_network_c_carries_the_build_id_and_the_bits_of_the_scale(two_layers: Program) -> None:
    source = emit_network.network_source(two_layers, "board", bytes(range(16)))

    assert ".build_id = {0x00, 0x01, 0x02, 0x03," in source
    assert '.target = "board",' in source
    assert ".scale_bits = 0x3f000000u," in source
    assert ".zero_point = -3," in source


def test_an_input_of_too_many_axes_is_refused(two_layers: Program) -> None:
    spec = TensorSpec(name="video", shape=(1, 2, 3, 4, 5), dtype="int8")
    program = dataclasses.replace(two_layers, inputs=(spec,))

    with pytest.raises(ModelError, match=r"^video has 5 dimensions; the device protocol carries 4$"):
        emit_network.network_source(program, "board", bytes(16))


def test_the_protocol_carries_as_many_axes_as_the_runtime_says() -> None:
    header = (link.runtime_folder() / "include" / "edgert.h").read_text()

    assert f"#define EDGERT_MAX_RANK {emit_network.PROTOCOL_RANK}u\n" in header
    assert f"#define EDGERT_BUILD_ID_BYTES {emit_network.BUILD_ID_BYTES}u\n" in header
