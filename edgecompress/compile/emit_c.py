"""Print a program as readable C: model.h and model.c. The same program gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgecompress.compile import (
    c_dsp,
    c_dsp_depthwise,
    c_dsp_multiply,
    c_exits,
    c_half,
    c_math,
    c_mve,
    c_neon,
    c_sparse,
    c_text,
    c_thumb,
    c_vector_math,
    c_winograd,
    c_x86,
    chain,
    codebook,
    narrow,
    part_tables,
    threads,
)
from edgecompress.compile.emit_weights import constant_names
from edgecompress.compile.memory import workspace_name
from edgecompress.core.bundle import Arena
from edgecompress.core.values import TensorSpec

if TYPE_CHECKING:
    from edgecompress.compile.program import Call, CKernel, Program

INPUTS_AFTERWARDS = {
    True: "The inputs stay as they are, so that it can be repeated.",
    False: "Other tensors take the place of the inputs: write them before every one.",
}

ASSEMBLER_PRAGMA = """\
/* A function in assembler finds its arguments in registers and on the stack, not by name. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

"""


def model_sources(program: Program, kernels: Mapping[str, CKernel], arena: Arena) -> dict[str, str]:
    """Print the network without its weights: file name -> text. It needs nothing but a C11 compiler."""
    return {"model.h": _model_header(program, arena), "model.c": _model_source(program, kernels, arena)}


def describe_shape(shape: tuple[int, ...]) -> str:
    """Write a shape as 1x32x32x3."""
    return "x".join(str(extent) for extent in shape) or "scalar"


def _offsets(arena: Arena) -> dict[str, int]:
    return {placement.name: placement.offset for placement in arena.placements}


def _model_header(program: Program, arena: Arena) -> str:
    offsets = _offsets(arena)
    tensors = "\n".join(
        f"/* {kind} {number}, {c_text.comment(spec.name)}: {_describe_spec(spec)} */\n"
        f"#define MODEL_{kind.upper()}_{number} "
        f"(({c_text.TYPES[spec.dtype]} *)(void *)(model_arena + {offsets[spec.name]}))"
        for kind, specs in (("Input", program.inputs), ("Output", program.outputs))
        for number, spec in enumerate(specs)
    )
    return f"""\
/* {c_text.title(program.name)} */
#ifndef MODEL_H
#define MODEL_H

#include <stdint.h>

#define MODEL_LAYERS {len(program.calls)}u
#define MODEL_ARENA_BYTES {arena.bytes}u

/* All the memory that the network works in, inputs and outputs included. */
extern uint8_t model_arena[MODEL_ARENA_BYTES];

{tensors}

/* Run one inference. {INPUTS_AFTERWARDS[program.keeps_inputs]} */
void model_run(void);

/* Run one layer. Layers 0 .. MODEL_LAYERS - 1, in this order, are one inference; any other number does nothing. */
void model_run_layer(uint32_t layer);

#endif
"""


def _describe_spec(spec: TensorSpec) -> str:
    text = f"{spec.dtype} {describe_shape(spec.shape)}"
    if spec.scale is None:
        return text
    return f"{text}, scale {spec.scale!r}, zero point {spec.zero_point or 0}"


def _model_source(program: Program, kernels: Mapping[str, CKernel], arena: Arena) -> str:
    names = [name for call in program.calls for name in (*kernels[call.kernel].calls, call.kernel)]
    functions = "\n".join(kernels[name].source for name in dict.fromkeys(names))
    functions = c_dsp_depthwise.definitions(functions) + c_dsp_multiply.definitions(functions) + functions
    functions = c_thumb.definitions(functions) + c_sparse.definitions(functions) + functions
    functions = codebook.definitions(functions) + part_tables.definitions(functions) + functions
    functions = narrow.definitions(functions) + chain.definitions(functions) + functions
    functions = c_winograd.definitions(functions) + functions
    functions = c_half.definitions(functions) + functions
    functions = c_text.definitions(threads.DEFINITIONS, functions) + c_vector_math.definitions(functions) + functions
    functions = c_neon.definitions(functions) + c_x86.definitions(functions) + functions
    functions = c_math.definitions(functions) + c_dsp.definitions(functions) + c_mve.definitions(functions) + functions
    constants = constant_names(program)
    layers = "\n".join(
        _layer_case(program, number, kernels[call.kernel], arena, constants)
        for number, call in enumerate(program.calls)
    )
    return f"""\
/* {c_text.title(program.name)} */
#include "model.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "weights.h"

{c_text.KERNEL_MACRO}
uint8_t model_arena[MODEL_ARENA_BYTES] __attribute__((aligned({program.alignment})));

{ASSEMBLER_PRAGMA if "naked" in functions else ""}\
{c_text.inline_functions(functions)}\
{functions}
static void *at(uint32_t offset) {{
  return model_arena + offset;
}}

{c_exits.state(program)}\
/* Never inlined into model_run: its code would be there twice. */
__attribute__((noinline)) void model_run_layer(uint32_t layer) {{
{c_exits.guard(program)}\
  switch (layer) {{
{layers}  }}
}}

void model_run(void) {{
  for (uint32_t layer = 0; layer < MODEL_LAYERS; ++layer) {{
    model_run_layer(layer);
  }}
}}
"""


def _layer_case(program: Program, number: int, kernel: CKernel, arena: Arena, constants: Mapping[str, str]) -> str:
    """Print one layer: a comment that says where it comes from and what lies where, and the call."""
    call = program.calls[number]
    offsets = _offsets(arena)
    spaces = [workspace_name(number, i) for i in range(len(kernel.workspaces))]
    pointers = [constants.get(name) or f"at({offsets[name]})" for name in (*call.arguments, call.output)]
    words = [*pointers, *map(c_text.integer_literal, call.scalars), *(f"at({offsets[name]})" for name in spaces)]
    statement = f"{call.kernel}({', '.join(words)});"
    if call.condition is not None:
        statement = c_exits.conditional(program, number, f"at({offsets[call.condition]})", statement)
    return f"""\
    /* Layer {number}, {c_text.comment(call.name)}: {c_text.comment(call.op)}
     * ONNX {c_text.comment(", ".join(call.onnx_nodes)) or "none"}
{_describe_places(program, call, spaces, arena)}     */
    case {number}:
      {statement}
      break;
"""


def _describe_places(program: Program, call: Call, spaces: list[str], arena: Arena) -> str:
    """Print a comment line for every tensor and workspace of a call: its type, shape and bytes in the arena."""
    known: dict[str, str] = {
        spec.name: f"{spec.dtype} {describe_shape(spec.shape)}" for spec in (*program.inputs, *program.outputs)
    }
    known |= {name: f"{tensor.dtype} {describe_shape(tensor.shape)}" for name, tensor in program.tensors.items()}
    places = {placement.name: placement for placement in arena.placements}
    roles = [("in", name) for name in call.reads if name in places]
    roles += [("out", call.output), *(("scratch", name) for name in spaces)]
    lines = ""
    for role, name in roles:
        start, size = places[name].offset, places[name].bytes
        what = f"{c_text.comment(name)}: {known[name]}, " if name in known else ""
        lines += f"     * {role} {what}arena {start} .. {start + size - 1}\n"
    return lines
