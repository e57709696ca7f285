"""Outermost loops of kernels, as functions for the threads of a device."""

from __future__ import annotations

import re

from edgecompress.compile import c_text, threads
from edgecompress.compile.program import CKernel

SOURCE = """\
KERNEL void dense(
    const float *restrict x, const float *restrict w, float *restrict y, float *restrict image) {
  for (uint32_t row = 0; row < 4u; ++row) {
    copy_floats(image + row * 6u, x + row * 4u, 4u);
  }
  const float *const in = image;
  {
    for (uint32_t tile = 0; tile < 9u; ++tile) {
      for (uint32_t k = 0; k < 8u; ++k) {
        y[tile] += in[tile] * w[k];
      }
    }
    y[9] = in[9];
  }
}
"""


def spread(source: str, *, spreads: bool = True) -> str:
    return threads.spread(CKernel(name="dense", source=source, workspaces=(96,), spreads=spreads)).source


def test_an_outermost_loop_becomes_a_function_of_a_range_of_its_turns() -> None:
    assert (
        spread(SOURCE)
        == """\
struct dense__part0 {
  const float *w;
  float *y;
  const float *in;
};

static void dense__part0(uint32_t begin, uint32_t end, void *context) {
  const struct dense__part0 *const known = context;
  const float *restrict w = known->w;
  float *restrict y = known->y;
  const float *restrict in = known->in;
  for (uint32_t tile = begin; tile < end; ++tile) {
    for (uint32_t k = 0; k < 8u; ++k) {
      y[tile] += in[tile] * w[k];
    }
  }
}

KERNEL void dense(
    const float *restrict x, const float *restrict w, float *restrict y, float *restrict image) {
  for (uint32_t row = 0; row < 4u; ++row) {
    copy_floats(image + row * 6u, x + row * 4u, 4u);
  }
  const float *const in = image;
  {
    {
      struct dense__part0 known = {w, y, in};
      edgert_split(dense__part0, &known, 9u);
    }
    y[9] = in[9];
  }
}
"""
    )


def test_the_kernel_keeps_its_name_and_parameters() -> None:
    assert c_text.parameters(spread(SOURCE)) == c_text.parameters(SOURCE)


def test_a_kernel_whose_turns_depend_on_each_other_stays_as_it_is() -> None:
    assert spread(SOURCE, spreads=False) == SOURCE


def test_a_loop_that_moves_a_pointer_stays() -> None:
    moving = SOURCE.replace("y[tile] += in[tile] * w[k];", "y += 1;")
    assert spread(moving) == moving


def test_a_loop_inside_a_block_with_a_variable_of_its_own_stays() -> None:
    inside = SOURCE.replace("  {\n    for (uint32_t tile", "  {\n    const uint32_t group = 0;\n    for (uint32_t tile")
    assert spread(inside) == inside


def test_of_a_loop_of_few_turns_the_one_inside_is_spread() -> None:
    loops = "    for (uint32_t tile = 0; tile < 9u; ++tile) {\n"
    few = "    for (uint32_t block = 0; block < 2u; ++block) {\n"
    lines = SOURCE.splitlines(keepends=True)
    begin, end = lines.index(loops), lines.index("    y[9] = in[9];\n")
    inner = [f"  {line}".replace("w[k]", "w[k + block * 8u]") for line in lines[begin:end]]
    source = spread("".join([*lines[:begin], few, *inner, "    }\n", *lines[end:]]))
    assert "  uint32_t block;\n" in source
    assert "  const uint32_t block = known->block;\n  for (uint32_t tile = begin;" in source
    assert (
        "    for (uint32_t block = 0; block < 2u; ++block) {\n"
        "      {\n"
        "        struct dense__part0 known = {w, y, in, block};\n"
        "        edgert_split(dense__part0, &known, 9u);\n"
    ) in source


def test_a_loop_that_copies_a_large_image_is_spread() -> None:
    large = SOURCE.replace("row < 4u", "row < 500u").replace(
        "row * 6u, x + row * 4u, 4u", "row * 106u, x + row * 104u, 104u"
    )
    assert "  for (uint32_t row = begin; row < end; ++row) {\n    copy_floats(image + row * 106u" in spread(large)
    small = large.replace("row < 500u", "row < 480u")
    assert "  for (uint32_t row = 0; row < 480u; ++row) {\n    copy_floats" in spread(small)


def test_only_what_is_spread_needs_the_threads() -> None:
    assert c_text.definitions(threads.DEFINITIONS, SOURCE) == ""
    assert c_text.definitions(threads.DEFINITIONS, spread(SOURCE)) == '#include "edgert_parallel.h"\n\n'
    assert re.search(r"edgert_split\(", spread(SOURCE))


def test_a_number_among_the_parameters_reaches_the_function_of_the_loop() -> None:
    text = spread(
        "KERNEL void dense(const int8_t *restrict x, int8_t *restrict y, int32_t zero) {\n"
        "  const int8_t *const in = x;\n"
        "  for (uint32_t tile = 0; tile < 9u; ++tile) {\n"
        "    for (uint32_t k = 0; k < 8u; ++k) {\n"
        "      y[tile] = (int8_t)(in[k] + zero);\n"
        "    }\n"
        "  }\n"
        "}\n"
    )

    assert "struct dense__part0 {\n  int8_t *y;\n  int32_t zero;\n  const int8_t *in;\n};\n" in text
    assert "  const int32_t zero = known->zero;\n" in text
    assert "struct dense__part0 known = {y, zero, in};" in text


def test_loops_inside_one_whose_turns_share_a_work_space_are_spread_one_after_the_other() -> None:
    source = """\
KERNEL void conv2d(const float *restrict x, float *restrict y, float *restrict sums) {
  for (uint32_t band = 0; band != 3u; ++band) {
    for (uint32_t row = 0; row < 9u; ++row) {
      for (uint32_t k = 0; k < 8u; ++k) {
        sums[row] += x[band * 72u + row * 8u + k];
      }
    }
    for (uint32_t row = 0; row < 9u; ++row) {
      for (uint32_t k = 0; k < 8u; ++k) {
        y[band * 72u + row * 8u + k] = sums[row];
      }
    }
  }
}
"""

    assert (
        threads.spread(CKernel(name="conv2d", source=source, workspaces=(36,), spreads=True)).source.partition(
            "KERNEL"
        )[2]
        == """\
 void conv2d(const float *restrict x, float *restrict y, float *restrict sums) {
  for (uint32_t band = 0; band != 3u; ++band) {
    {
      struct conv2d__part0 known = {x, sums, band};
      edgert_split(conv2d__part0, &known, 9u);
    }
    {
      struct conv2d__part1 known = {y, sums, band};
      edgert_split(conv2d__part1, &known, 9u);
    }
  }
}
"""
    )


def test_a_range_of_turns_is_a_function_with_loops_of_its_own_order() -> None:
    body = [
        "for (uint32_t block = 0; block < 4u; ++block) {",
        "  for (uint32_t row = first; row < last; ++row) {",
        "    y[row * 4u + block] = x[row];",
        "  }",
        "}",
    ]
    lines = threads.over_range(9, body)
    source = "".join(
        ["KERNEL void dense(const float *restrict x, float *restrict y) {\n", *(f"  {line}\n" for line in lines), "}\n"]
    )

    assert lines[0] == "for (uint32_t first = 0, last = 9u; first < last; first = last) {"
    assert """\
  float *restrict y = known->y;
  const uint32_t first = begin, last = end;
  for (uint32_t block = 0; block < 4u; ++block) {
    for (uint32_t row = first; row < last; ++row) {
      y[row * 4u + block] = x[row];
    }
  }
}
""" in spread(source)
    assert "edgert_split(dense__part0, &known, 9u);" in spread(source)
