"""Layers row by row: a C function that goes down the image and calls the kernels of several layers in turn.

Of every tensor between the layers only the rows that the next one still needs are kept, in a band that moves down the
image; nothing is computed twice. Each kernel sees a small image, its band, so any family's kernel serves. Rows of a
band that lie beyond the image hold one number, so the kernels need no padding above and below.

The idea is that of line buffers, also called streaming or patch-based inference (Lin et al. 2021, MCUNetV2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.memory import ALIGNMENT
from edgecompress.compile.program import CKernel

COPY, FILL = "copy_rows", "fill_rows"

_FUNCTIONS = {
    COPY: """\
/* Copy rows `first` .. first + rows - 1 of an image; those that it does not have hold one number. */
static __attribute__((noinline)) void copy_rows(
    int8_t *to, const int8_t *image, int32_t first, int32_t rows, int32_t row_bytes, int32_t height, int32_t beyond) {
  for (int32_t row = first; row < first + rows; ++row) {
    if (row >= 0 && row < height) {
      memcpy(to, image + row * row_bytes, (size_t)row_bytes);
    } else {
      memset(to, beyond, (size_t)row_bytes);
    }
    to += row_bytes;
  }
}
""",
    FILL: """\
/* Of rows `first` .. first + rows - 1, make those that an image does not have hold one number. */
static __attribute__((noinline)) void fill_rows(
    int8_t *to, int32_t first, int32_t rows, int32_t row_bytes, int32_t height, int32_t beyond) {
  for (int32_t row = first; row < first + rows; ++row) {
    if (row < 0 || row >= height) {
      memset(to, beyond, (size_t)row_bytes);
    }
    to += row_bytes;
  }
}
""",
}


def definitions(text: str) -> str:
    """Define the functions that move rows, if the text calls them."""
    return c_text.definitions(_FUNCTIONS, text)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A layer of a chain: its kernel with the scalars, and the band that it reads.

    The band has `rows` rows of `row_bytes`; in turn t, `step` rows of an image of `image_rows` enter it, the first of
    them row t * step + first. Rows beyond the image hold `beyond`.
    """

    kernel: str
    scalars: tuple[int, ...]
    rows: int
    step: int
    first: int
    row_bytes: int
    image_rows: int
    beyond: int

    @property
    def band_bytes(self) -> int:
        """The size of the band."""
        return self.rows * self.row_bytes

    @property
    def kept_bytes(self) -> int:
        """The rows that stay in the band from one turn to the next."""
        return (self.rows - self.step) * self.row_bytes


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Layers that run row by row. Every turn but `warm_up` first ones gives `output_bytes` of the output."""

    name: str
    stages: tuple[Stage, ...]
    turns: int
    warm_up: int
    output_bytes: int

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that the function calls."""
        return tuple(stage.kernel for stage in self.stages)

    def wrap(self, kernels: Mapping[str, CKernel]) -> CKernel:
        """Write the function: (image, the constants of every stage, output, room for all that is kept in between)."""
        return _wrap(self, [kernels[name] for name in self.kernels])


def _wrap(chain: Chain, kernels: list[CKernel]) -> CKernel:
    constants = [_constants(kernel, number) for number, kernel in enumerate(kernels)]
    named = [f"{ctype}{name}" for found in constants for ctype, name in found]
    parameters = ["const int8_t *image", *named, "int8_t *output", "uint8_t *room"]
    bands = _offsets([stage.band_bytes for stage in chain.stages])
    body = "".join(f"  int8_t *const band{k} = (int8_t *)room + {bands[k]};\n" for k in range(len(chain.stages)))
    body += f"  for (int32_t turn = {-chain.warm_up}; turn < {chain.turns}; ++turn) {{\n"
    body += "".join(_move_down(number, stage) for number, stage in enumerate(chain.stages))
    first = chain.stages[0]
    body += f"    {COPY}(band0 + {first.kept_bytes}, image, {_span(first)});\n"
    for number, kernel in enumerate(kernels):
        arguments = _arguments(chain, number, kernel, [name for _, name in constants[number]], bands[-1])
        body += _compute(chain, number, f"{kernel.name}({', '.join(arguments)});")
    source = f"{c_text.wrapped(f'KERNEL void {chain.name}(', parameters)}) {{\n{body}  }}\n}}\n"
    scratch = max(_offsets(kernel.workspaces)[-1] for kernel in kernels)
    calls = tuple(dict.fromkeys(chain.kernels))
    return CKernel(name=chain.name, source=source, workspaces=(bands[-1] + scratch,), calls=calls)


def _constants(kernel: CKernel, number: int) -> list[tuple[str, str]]:
    """The types and names of a kernel's constants as parameters of the chain: between the input and the output."""
    parameters = c_text.parameters(kernel.source)
    pointers = sum("*" in each for each in parameters) - len(kernel.workspaces)
    return [(each[: each.index("*") + 1], f"{each.split('*')[-1]}{number}") for each in parameters[1 : pointers - 1]]


def _move_down(number: int, stage: Stage) -> str:
    """Keep the rows that the next turn sees too."""
    if not stage.kept_bytes:
        return ""
    return f"    memmove(band{number}, band{number} + {stage.step * stage.row_bytes}, {stage.kept_bytes}u);\n"


def _compute(chain: Chain, number: int, call: str) -> str:
    """Call a stage's kernel if some row that it makes is one of the image's."""
    if number == len(chain.stages) - 1:
        return f"    if (turn >= 0) {{\n      {call}\n    }}\n"
    following = chain.stages[number + 1]
    begin = _row(following)
    fill = f"{FILL}(band{number + 1} + {following.kept_bytes}, {_span(following)});"
    inside = f"{begin} > {-following.step} && {begin} < {following.image_rows}"
    return f"    if ({inside}) {{\n      {call}\n    }}\n    {fill}\n"


def _row(stage: Stage) -> str:
    """The first row that enters a band in a turn."""
    return f"turn * {stage.step} + {stage.first}"


def _span(stage: Stage) -> str:
    return f"{_row(stage)}, {stage.step}, {stage.row_bytes}, {stage.image_rows}, {stage.beyond}"


def _arguments(chain: Chain, number: int, kernel: CKernel, constants: list[str], scratch: int) -> list[str]:
    """What a stage's kernel is called with; its workspaces lie behind the bands, where those of the others lie too."""
    parameters = c_text.parameters(kernel.source)
    places = _offsets(kernel.workspaces)
    rooms = parameters[len(parameters) - len(kernel.workspaces) :]
    types = [each[: each.index("*") + 1] for each in rooms]
    last = number == len(chain.stages) - 1
    output = (
        f"output + turn * {chain.output_bytes}" if last else f"band{number + 1} + {chain.stages[number + 1].kept_bytes}"
    )
    return [
        f"band{number}",
        *constants,
        output,
        *map(c_text.integer_literal, chain.stages[number].scalars),
        *(f"({ctype})(void *)(room + {scratch + place})" for ctype, place in zip(types, places, strict=False)),
    ]


def _offsets(sizes: list[int] | tuple[int, ...]) -> list[int]:
    """Where pieces of these sizes begin when they lie one behind the other, and at last where they end."""
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + -(-size // ALIGNMENT) * ALIGNMENT)
    return offsets
