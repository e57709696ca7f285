"""What int8 pools do as C, on the vectors of c_x86."""

from __future__ import annotations

from edgecompress.compile import c_averages
from edgecompress.compile.c_x86_isa import HAS, PREFIX, register


def functions(lanes: int) -> dict[str, str]:
    """Name -> definition, for registers of so many words; a function stands after those that it calls."""
    return {
        f"most_bytes{4 * lanes}": _most(lanes),
        f"average_of{lanes}": c_averages.definition(f"average_of{lanes}", f"words{lanes}", f"VECTORS{lanes}"),
    }


def _most(lanes: int) -> str:
    m, vector = register(lanes), f"bytes{4 * lanes}"
    return f"""\
/* Of two numbers each the larger one. */
VECTORS{lanes} {vector} most_{vector}({vector} a, {vector} b) {{
#if {HAS[lanes]}
  return ({vector}){PREFIX[lanes]}_max_epi8(({m})a, ({m})b);
#else
  const {vector} above = a > b;
  return (a & above) | (b & ~above);
#endif
}}
"""
