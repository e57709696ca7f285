"""The C of early exits: a conditional layer, and a function that leaves out layers after one that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgecompress.compile.program import Program


def resumes_at(program: Program, number: int) -> int:
    """The layer at which the network goes on after the exit `number` was taken."""
    output = program.calls[number].output
    return 1 + max(i for i, call in enumerate(program.calls) if call.output == output)


def state(program: Program) -> str:
    """Write the variable that model_run_layer keeps between layers; nothing for a network without exits."""
    if not _has_exits(program):
        return ""
    return """\
/* Layers below this one are left out: an early exit was taken. */
static uint32_t resume_at;

"""


def guard(program: Program) -> str:
    """Write what model_run_layer begins with; nothing for a network without exits."""
    if not _has_exits(program):
        return ""
    return """\
  if (layer == 0u) {
    resume_at = 0u;
  }
  if (layer < resume_at) {
    return;
  }
"""


def conditional(program: Program, number: int, condition: str, statement: str) -> str:
    """Write an exit; `condition` is the address of its byte, `statement` its copy."""
    return f"""\
if (*(const bool *){condition}) {{
        {statement}
        resume_at = {resumes_at(program, number)}u;
      }}"""


def _has_exits(program: Program) -> bool:
    return any(call.condition is not None for call in program.calls)
