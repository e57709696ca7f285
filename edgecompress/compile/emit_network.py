"""Print network.c: a network, or none, as device_runtime sees it (device_runtime/include/edgert.h)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from edgecompress.compile import c_text
from edgecompress.core.errors import ModelError
from edgecompress.core.values import TensorSpec

if TYPE_CHECKING:
    from edgecompress.compile.program import Program

PROTOCOL_RANK = 4
"""EDGERT_MAX_RANK of edgert.h; a test compares them."""
BUILD_ID_BYTES = 16


def check_ranks(specs: Iterable[TensorSpec]) -> None:
    """Raise ModelError for the first input or output of more axes than the device protocol carries."""
    for spec in specs:
        if len(spec.shape) > PROTOCOL_RANK:
            raise ModelError(
                f"{spec.name} has {len(spec.shape)} dimensions; the device protocol carries {PROTOCOL_RANK}",
                hint="reshape the input or output inside the model",
            )


def network_source(program: Program, target: str, build_id: bytes, *, pins: bool = False) -> str:
    """Print network.c for the sources of `emit_c`; `pins` keeps each thread on a core of its own.

    Raises ModelError for an input or output of too many axes.
    """
    check_ranks((*program.inputs, *program.outputs))
    return f"""\
/* {c_text.title(program.name)} */
#include "edgert.h"
#include "model.h"

{_tensor_table("input", program.inputs)}
{_tensor_table("output", program.outputs)}
const edgert_network edgert_installed_network = {{
    .build_id = {{{_bytes(build_id)}}},
    .target = {c_text.string_literal(target)},
    .inputs = {len(program.inputs)}u,
    .outputs = {len(program.outputs)}u,
    .layers = MODEL_LAYERS,
    .arena_bytes = MODEL_ARENA_BYTES,
{"    .pins = 1u," + chr(10) if pins else ""}\
    .input = input,
    .output = output,
    .run = model_run,
    .run_layer = model_run_layer,
}};
"""


def empty_network_source(target: str) -> str:
    """Print a network.c without a network: linked with it, the runtime shows what it takes by itself."""
    return f"""\
/* No network: the runtime alone. */
#include "edgert.h"

static void run_nothing(void) {{
}}

static void run_no_layer(uint32_t layer) {{
  (void)layer;
}}

const edgert_network edgert_installed_network = {{
    .build_id = {{{_bytes(bytes(BUILD_ID_BYTES))}}},
    .target = {c_text.string_literal(target)},
    .run = run_nothing,
    .run_layer = run_no_layer,
}};
"""


def _bytes(values: bytes) -> str:
    return ", ".join(f"0x{byte:02x}" for byte in values)


def _tensor_table(kind: str, specs: tuple[TensorSpec, ...]) -> str:
    rows = "".join(_tensor_row(kind, number, spec) for number, spec in enumerate(specs))
    return f"static const edgert_tensor {kind}[] = {{\n{rows}}};\n"


def _tensor_row(kind: str, number: int, spec: TensorSpec) -> str:
    scale_bits = 0 if spec.scale is None else int(np.array(spec.scale, "<f4").view("<u4"))
    shape = ", ".join(f"{extent}u" for extent in spec.shape) or "0u"
    return f"""\
    {{
        .name = {c_text.string_literal(spec.name)},
        .dtype = EDGERT_{spec.dtype.upper()},
        .rank = {len(spec.shape)}u,
        .shape = {{{shape}}},
        .scale_bits = 0x{scale_bits:08x}u,
        .zero_point = {c_text.integer_literal(spec.zero_point or 0)},
        .bytes = {spec.byte_size}u,
        .data = MODEL_{kind.upper()}_{number},
    }},
"""
