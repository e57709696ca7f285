from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompress.compile import c_text

PRINTED = """\
// tvm target: {"kind":"c"}
#include "tvm/runtime/base.h"
void* __tvm_ffi__library_ctx = NULL;
TVM_DLL void other(int8_t* a);
TVM_DLL void kernel(int8_t* a, float* b, int32_t zero);
TVM_DLL float edgecompress_float_bits(int32_t);
TVM_DLL void other(int8_t* a) {
  a[0] = 1;
}

TVM_DLL void kernel(int8_t* a, float* b, int32_t zero) {
  for (int32_t i = 0; i < 4; ++i) {
    float v = b[i] + edgecompress_float_bits(1039980266) * edgecompress_float_bits(-1082130432);
    b[i] = (float)(int32_t_bits(v) + zero);
  }
}

"""


def test_a_definition_is_taken_alone_and_made_plain() -> None:
    assert (
        c_text.clean_function(PRINTED, "kernel", inputs=1)
        == """\
KERNEL void kernel(const int8_t *restrict a, float *restrict b, int32_t zero) {
  for (int32_t i = 0; i < 4; ++i) {
    float v = b[i] + 0x1.f9add4p-4f * (-0x1p+0f);
    b[i] = (float)(int32_t_bits(v) + zero);
  }
}
"""
    )


def test_a_long_parameter_list_is_wrapped() -> None:
    names = ", ".join(f"int8_t* argument_{i}" for i in range(8))
    printed = f"TVM_DLL void many({names}) {{\n}}\n"

    lines = c_text.clean_function(printed, "many", inputs=7).splitlines()

    assert lines[0] == "KERNEL void many("
    assert max(map(len, lines)) <= c_text.LINE_LENGTH
    assert "".join(lines).count("const int8_t *restrict") == 7


def test_a_missing_definition_is_named() -> None:
    with pytest.raises(ValueError, match=r"^TVM's C code generator printed no definition of absent$"):
        c_text.clean_function(PRINTED, "absent", inputs=0)


def test_only_the_inline_functions_that_are_called_are_defined() -> None:
    text = c_text.inline_functions("a = max_int32(min_int8(b, 3), int32_t_bits(c)) + max_int32(1, argmax(2));")

    assert [line for line in text.splitlines() if line.startswith("static")] == [
        "static inline int32_t int32_t_bits(float value) {",
        "static inline int32_t max_int32(int32_t a, int32_t b) {",
        "static inline int8_t min_int8(int8_t a, int8_t b) {",
    ]


@given(st.integers(-(2**31), 2**31 - 1))
def test_a_float_literal_keeps_every_bit(bits: int) -> None:
    value = np.array(bits, "<i4").view("<f4")
    literal = c_text.float_literal(bits)

    if np.isnan(value):
        assert literal == "NAN"
    elif np.isinf(value):
        assert literal in ("INFINITY", "(-INFINITY)")
    else:
        back = np.array(float.fromhex(literal.strip("()").removesuffix("f")), "<f4")
        assert int(back.view("<i4")) == bits


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (0, "0"),
        (-5, "-5"),
        (2**31 - 1, "2147483647"),
        (-(2**31), "(-2147483647 - 1)"),
        (2**31, "2147483648LL"),
        (-(2**63), "(-9223372036854775807LL - 1)"),
    ],
)
def test_an_integer_literal_has_a_type_that_holds_it(value: int, literal: str) -> None:
    assert c_text.integer_literal(value) == literal


@pytest.mark.parametrize(
    ("text", "literal"),
    [("plain", '"plain"'), ('a"b\\c', '"a\\042b\\134c"'), ("é", '"\\303\\251"'), ("what??/", '"what\\077\\077/"')],
)
def test_a_string_literal_escapes_what_c_would_read_otherwise(text: str, literal: str) -> None:
    assert c_text.string_literal(text) == literal


@pytest.mark.parametrize(
    ("text", "word"), [("conv/1:0", "conv_1_0"), ("1x1", "_1x1"), ("é*", "unnamed"), ("", "unnamed"), ("int", "int_")]
)
def test_an_identifier_is_made_of_any_text(text: str, word: str) -> None:
    assert c_text.identifier(text) == word


def test_a_comment_cannot_be_ended_by_a_name() -> None:
    assert c_text.comment("a*/ int x; /*\nb") == "a* / int x; / *?b"


@given(st.text())
def test_no_text_ends_or_opens_a_comment(text: str) -> None:
    comment = c_text.comment(text)

    assert "*/" not in comment
    assert "/*" not in comment
    assert "\n" not in comment
