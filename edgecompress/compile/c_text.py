"""Clean up the C that TVM's code generator prints, and write C literals, identifiers and comments."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from edgecompress.core.c_literals import comment as comment
from edgecompress.core.c_literals import string_literal as string_literal

FLOAT_MARK = "edgecompress_float_bits"
"""The pretended function around a float constant's bits: lower.py puts it in, `clean_function` takes it out."""

TYPES = {
    "float32": "float",
    "float16": "uint16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "bool": "bool",
}
LINE_LENGTH = 110
RESERVED = (
    "auto bool break case char const continue default do double else enum extern false float for goto if inline int "
    "long register restrict return short signed sizeof static struct switch true typedef union unsigned void volatile "
    "while INFINITY NAN NULL"
)
"""Words that no name in the generated C may be: C11's own, and those of the headers that it includes."""


_FLOAT_CALL = re.compile(FLOAT_MARK + r"\((-?\d+)\)")
_PARAMETER = re.compile(r"(\w+)(\*?) (\w+)")
_KERNEL_HEAD = re.compile(r"^KERNEL void \w+\(([^)]*)\)", re.MULTILINE)

_INLINE_CALL = re.compile(r"\b(max|min)_(float|u?int\d+)\(|\b(int32_t|float)_bits\(")


KERNEL_MACRO = """\
/* Each kernel is compiled by itself: the linked program shows what it takes, and large frames do not add up. With
 * noinline alone, GCC 12 clones a kernel for constant addresses in one array, and has dropped all stores of a clone.
 */
#if defined(__clang__)
#define KERNEL static __attribute__((noinline))
#else
#define KERNEL static __attribute__((noipa))
#endif
"""


def bit_cast(target: str) -> str:
    """The name of the inline function that gives the bits of a float32 as int32, or of an int32 as float32."""
    return f"{TYPES[target]}_bits"


def ordering(order: str, dtype: str) -> str:
    """The name of the inline function for the `max` or `min` of two numbers of a type."""
    return f"{order}_{'float' if dtype == 'float32' else dtype}"


def inline_functions(text: str) -> str:
    """Define the inline functions that the text calls and does not define; they need string.h and stdint.h."""
    found = dict.fromkeys(_INLINE_CALL.findall(text))
    defined = [
        (f"{order}_{stem}", _ordering(order, stem)) if order else (f"{target}_bits", _bit_cast(target))
        for order, stem, target in sorted(found)
    ]
    return "".join(f"{source}\n" for name, source in defined if not re.search(rf"^static.* {name}\(", text, re.M))


def definitions(functions: Mapping[str, str], text: str) -> str:
    """Define the functions that the text calls, and those that they call; in `functions` callers stand last."""
    needed: list[str] = []
    texts = [text]
    for name in reversed(list(functions)):
        if any(_calls(each, name) for each in texts):
            needed.insert(0, name)
            texts.append(functions[name])
    return "".join(f"{functions[name]}\n" for name in needed)


def _calls(text: str, name: str) -> bool:
    # The plain search comes first: it passes over a large text in no time.
    return f"{name}(" in text and re.search(rf"\b{name}\(", text) is not None


def clean_function(text: str, name: str, *, inputs: int) -> str:
    """Take the definition of `name` out of TVM's C and make it a plain one, a KERNEL (see KERNEL_MACRO).

    Pointers become `restrict`, the first `inputs` of them `const`; float constants become exact hexadecimal literals.
    """
    head, body = _definition(text, name)
    body = _FLOAT_CALL.sub(lambda match: float_literal(int(match[1])), body)
    start = f"KERNEL void {name}("
    return f"{wrapped(start, _parameters(head, inputs))}) {{\n{body}}}\n"


def parameters(source: str) -> list[str]:
    """The parameters of a kernel's C text, one by one, without `restrict`."""
    head = _KERNEL_HEAD.search(source)
    if head is None:
        raise ValueError("there is no KERNEL in this text")
    return [" ".join(each.split()).replace("restrict ", "") for each in head[1].split(",")]


def names(source: str) -> list[str]:
    """The names of a kernel's parameters."""
    return [each.split()[-1].lstrip("*") for each in parameters(source)]


def float_literal(bits: int) -> str:
    """The C literal of the float32 with these bits, exact to the last one."""
    value = np.array(bits, "<i4").view("<f4")[()]
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "(-INFINITY)"
    literal = f"{_shortest_hexadecimal(float(value))}f"
    return f"({literal})" if literal.startswith("-") else literal


def integer_literal(value: int) -> str:
    """The C literal of an integer of up to 64 bits."""
    if value == -(2**31):
        return "(-2147483647 - 1)"
    if value == -(2**63):
        return "(-9223372036854775807LL - 1)"
    return f"{value}LL" if abs(value) >= 2**31 else str(value)


def identifier(text: str) -> str:
    """The nearest C identifier to any text, which is no word of the language."""
    word = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "unnamed"
    if word[0].isdigit():
        return f"_{word}"
    return f"{word}_" if word in RESERVED.split() else word


def title(name: str) -> str:
    """The first comment of every generated file of the network `name`."""
    return f"{comment(name)}: generated by edgecompress; change the model and compile again instead."


def _ordering(order: str, stem: str) -> str:
    ctype, sign = TYPES.get(stem, stem), ">" if order == "max" else "<"
    return f"static inline {ctype} {order}_{stem}({ctype} a, {ctype} b) {{\n  return a {sign} b ? a : b;\n}}\n"


def _bit_cast(target: str) -> str:
    source = "float" if target == "int32_t" else "int32_t"
    return f"""\
static inline {target} {target}_bits({source} value) {{
  {target} bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}}
"""


def _definition(text: str, name: str) -> tuple[str, str]:
    """Find the parameter list and the body of the function `name`."""
    match = re.search(rf"^TVM_DLL void {re.escape(name)}\(([^\n]*)\) {{\n(.*?)^}}$", text, re.MULTILINE | re.DOTALL)
    if match is None:
        raise ValueError(f"TVM's C code generator printed no definition of {name}")
    return match[1], match[2]


def _parameters(head: str, inputs: int) -> list[str]:
    """Print the parameter list anew: every pointer `restrict`, the first `inputs` pointers `const`."""
    printed: list[str] = []
    pointers = 0
    for parameter in head.split(", "):
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            raise ValueError(f"TVM's C code generator printed a parameter of an unknown form: {parameter!r}")
        ctype, star, name = match.groups()
        if not star:
            printed.append(f"{ctype} {name}")
            continue
        printed.append(f"{'const ' if pointers < inputs else ''}{ctype} *restrict {name}")
        pointers += 1
    return printed


def wrapped(start: str, parameters: Sequence[str]) -> str:
    """Put the parameters behind `start`, or on lines of their own when they are too long."""
    line = start + ", ".join(parameters)
    if len(line) + len(") {") <= LINE_LENGTH:
        return line
    lines = [start]
    for number, parameter in enumerate(parameters, 1):
        piece = parameter if number == len(parameters) else f"{parameter},"
        if number == 1 or len(lines[-1]) + len(piece) + len(" ) {") > LINE_LENGTH:
            lines.append(f"    {piece}")
        else:
            lines[-1] += f" {piece}"
    return "\n".join(lines)


def _shortest_hexadecimal(value: float) -> str:
    """Python's hexadecimal float without the zeros that end its digits."""
    return re.sub(r"\.?0*p", "p", value.hex())
