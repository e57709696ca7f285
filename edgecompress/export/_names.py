"""The one name of an export: an identifier in C and C++, a target in CMake, a library in the Arduino IDE, a file."""

from __future__ import annotations

import re

FALLBACK = "network"
SUFFIX = "_network"
LONGEST = 32
"""Characters: the Arduino IDE takes sketches of 63, PlatformIO's registry libraries of 50; words are added to both."""

C_WORDS = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true "
    "false asm"
)
CPP_WORDS = (
    "alignas alignof and and_eq bitand bitor catch class compl concept consteval constexpr constinit const_cast "
    "co_await co_return co_yield decltype delete dynamic_cast explicit export friend mutable namespace new noexcept "
    "not not_eq nullptr operator or or_eq private protected public reinterpret_cast requires static_assert "
    "static_cast template this thread_local throw try typeid typename using virtual wchar_t xor xor_eq"
)
STANDARD_HEADERS = (
    "assert complex ctype errno fenv float inttypes iso646 limits locale math memory new setjmp signal stdalign stdarg "
    "stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string strings tgmath threads time uchar wchar wctype "
    "arduino main console"
)
"""NAME.h must not stand in front of a header of that name; `main` and `console` are files of the examples."""
CMAKE_TARGETS = "all all_build clean depend edit_cache help install package package_source rebuild_cache test"
"""CMake keeps these for itself (policy CMP0037)."""
TAKEN = frozenset(" ".join((C_WORDS, CPP_WORDS, STANDARD_HEADERS, CMAKE_TARGETS)).split())


def identifier(name: str) -> str:
    """Give the nearest name that is right everywhere: lower case letters, digits and single underscores."""
    found = "_".join(re.findall(r"[a-z0-9]+", name.lower())) or FALLBACK
    if found[0].isdigit():
        found = f"{FALLBACK}_{found}"
    if found in TAKEN:
        found = f"{found}{SUFFIX}"
    return found[:LONGEST].strip("_")
