"""How a sum of int8 is divided by a small count, as C on vectors of words of any length."""

from __future__ import annotations


def definition(name: str, words: str, inlining: str) -> str:
    """Define the function for a vector type of int32; `inlining` stands before it."""
    return f"""\
/* Sums of up to 255 numbers divided by their count, rounded half away from 0; `share` is 2^23 / count, rounded up.
 * share * count exceeds 2^23 by less than count, times a size of at most 128.5 * count by less than 2^23: so no
 * quotient comes to the next whole number. */
{inlining} {words} {name}({words} sum, int32_t half, int32_t share) {{
  const {words} sign = sum >> 31;
  const {words} size = (sum ^ sign) - sign + half;
  return ((size * share >> 23) ^ sign) - sign;
}}
"""
