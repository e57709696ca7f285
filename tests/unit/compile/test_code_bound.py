from __future__ import annotations

from edgecompress.compile import code_bound
from edgecompress.compile.code_bound import Function

SOURCE = """\
static inline int32_t twice(int32_t a) {
  return a + a;
}

KERNEL void small(const int32_t *restrict x, int32_t *restrict y) {
  int32_t sums[4];
  for (int32_t i = 0; i < 8; ++i) {
    int32_t v = x[i];
    y[i] = twice(v) * twice(3);
  }
}

static __attribute__((naked)) void assembled(
    const int32_t *x, int32_t *y) {
  __asm__(
      "ldr r0, [r1]\\n"
      "bx lr\\n");
}
"""


def test_functions_that_are_not_inlined_are_found_with_what_is_inlined_into_them() -> None:
    found = code_bound.functions(SOURCE)

    assert set(found) == {"small", "assembled"}
    alone = code_bound.functions(SOURCE.replace("twice(v) * twice(3)", "v"))["small"]
    assert found["small"].operations == alone.operations + 3
    assert (found["small"].short_loops, found["small"].array_bytes, found["small"].variables) == (1, 16, 1)
    assert found["assembled"].assembler_lines == 2


def test_a_loop_of_many_turns_is_no_short_one() -> None:
    found = code_bound.functions(SOURCE.replace("i < 8", "i < 17"))

    assert found["small"].short_loops == 0


def test_more_of_anything_never_lowers_a_bound() -> None:
    less = Function(operations=5, short_loops=1, assembler_lines=2, variables=3, array_bytes=8)
    one = Function(operations=1, short_loops=1, assembler_lines=1, variables=1, array_bytes=4)

    assert (less + one).code_bytes > less.code_bytes
    assert (less + one).frame_bytes == less.frame_bytes + code_bound.FRAME_BYTES_PER_VARIABLE + 4
