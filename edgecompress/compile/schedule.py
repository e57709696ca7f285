"""One generic rule that makes the loops of a float kernel worth running.

A tensor expression comes as one loop nest an operator, with whole arrays between them. The rule folds what is computed
element by element into its reader, pads no more than the next loops read, accumulates in registers, and applies what
follows a reduction while the result is still there. It never changes the order of a sum.
"""

from __future__ import annotations

import math
from typing import TypeVar

import tvm
import tvm_ffi
from tvm import tirx
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV

TILE = "edgecompress.tile"
"""Block annotation: how many neighbouring results, by output axis, a reduction computes at a time in registers."""

ORDER = "edgecompress.order"
"""Block annotation: the order of a reduction's output axes, outermost first; padding is done inside the second."""

PACKED = "edgecompress.packed"
"""Block annotation: the output axis along which the packed weights of a tile lie side by side in memory."""

READ = "edgecompress.read"
"""Loop annotation: copies neighbouring floats to a local array; lower.py makes one call of read_n (c_math.py) of it."""

_READ_TOGETHER = (8, 4, 2)
"""How many weights one instruction may load; more would leave too few registers for sums."""

_UNROLLED_STEPS = 12
"""Innermost reduction loops are unrolled up to this many steps together."""

_LONG_STEP = 4
"""A longer innermost reduction loop is unrolled this many times where that comes out even."""

_COSTLY = {"tirx.exp", "tirx.tanh", "tirx.erf", "tirx.log", "tirx.sigmoid", "tirx.sqrt", "tirx.rsqrt"}
"""Functions that are computed once and kept where the result is read more than once."""

_Node = TypeVar("_Node")
_REDUCTION = tirx.IterVar.CommReduce


def schedule(function: tirx.PrimFunc) -> tirx.PrimFunc:
    """Schedule one kernel (s_tir blocks as tensor expressions give them)."""
    sch = Schedule(tvm.IRModule({"main": function}))
    _inline(sch)
    for block in _blocks(sch):
        if _is_reduction(sch, block):
            _schedule_reduction(sch, block)
    return sch.mod["main"]


def multiplications(function: tirx.PrimFunc) -> int:
    """Count the multiply-accumulates of an unscheduled kernel: the steps of every `sum += a * b`."""
    sch = Schedule(tvm.IRModule({"main": function}))
    return sum(_steps(sch, block) for block in _blocks(sch) if _sums_products(sch, block))


def read_together(weights: int) -> int:
    """Return how many of a tile's neighbouring weights one instruction loads."""
    return next((size for size in _READ_TOGETHER if weights % size == 0), 1)


def _blocks(sch: Schedule) -> list[SBlockRV]:
    return list(sch.get_child_blocks(sch.get_sblock("root")))


def _is_reduction(sch: Schedule, block: SBlockRV) -> bool:
    return any(axis.iter_type == _REDUCTION for axis in sch.get(block).iter_vars)


def _inline(sch: Schedule) -> None:
    """Fold every elementwise stage into its readers, but for padding and costly functions that are read again."""
    for block in _blocks(sch):
        readers = sch.get_consumers(block)
        if not readers or _is_reduction(sch, block):
            continue
        feeds_reduction = any(_is_reduction(sch, reader) for reader in readers)
        if _is_costly(sch, block) and (feeds_reduction or len(readers) > 1):
            continue
        if not (_is_padding(sch, block) and feeds_reduction):
            sch.compute_inline(block)


def _is_padding(sch: Schedule, block: SBlockRV) -> bool:
    return str(sch.get(block).name_hint).startswith("pad")


def _is_costly(sch: Schedule, block: SBlockRV) -> bool:
    names = {getattr(call.op, "name", "") for call in _nodes(sch.get(block).body, tvm.ir.Call)}
    return not names.isdisjoint(_COSTLY)


def _schedule_reduction(sch: Schedule, block: SBlockRV) -> None:
    """Accumulate a tile in registers, inside the loops of whatever is computed from the result."""
    if len(sch.get(block).writes) > 1:  # two sums at once, as in a normalisation
        sch.decompose_reduction(block, _first_step(sch, block))
        return
    axes = _spatial_extents(sch, block)
    annotations = sch.get(block).annotations
    tile = [int(size) for size in annotations.get(TILE, [1] * len(axes))]
    order = [int(axis) for axis in annotations.get(ORDER, range(len(axes)))]
    padding = [stage for stage in sch.get_producers(block) if _is_padding(sch, stage)]
    # A pooling reads one channel at a time, a product that says nothing of its order may read all for each result.
    padded_inside = 1 if ORDER in annotations or not _sums_products(sch, block) else 0
    last = _last_stage(sch, block)

    pairs = [sch.split(loop, [None, size]) for loop, size in zip(sch.get_loops(last), tile, strict=True)]
    outer, inner = [pairs[axis][0] for axis in order], [pairs[axis][1] for axis in range(len(axes))]
    sch.reorder(*outer, *inner)
    sch.compute_at(block, outer[-1], preserve_unit_loops=True)
    for stage in padding:
        sch.compute_at(stage, outer[padded_inside])
        first = sch.get_loops(stage)[padded_inside + 1]
        if sch.can_decompose_padding(stage, first):  # fill all, then copy the inside: no test for every number
            sch.decompose_padding(stage, first)

    loops = sch.get_loops(block)[len(outer) :]
    results, steps = loops[: len(axes)], loops[len(axes) :]
    sch.reorder(*steps, *results)
    if PACKED in annotations:
        steps = _split_long_step(sch, steps)
        results = _read_weights_together(sch, block, results, int(annotations[PACKED]))
    _unroll(sch, [*inner, *results])
    if TILE in annotations:
        _unroll(sch, _innermost(sch, steps))
    start = sch.decompose_reduction(block, steps[0])
    _unroll(sch, sch.get_loops(start)[len(outer) :])


def _split_long_step(sch: Schedule, steps: list[LoopRV]) -> list[LoopRV]:
    """Split a last reduction loop that is too long to unroll, so that a part of it can be."""
    extent = int(sch.get(steps[-1]).extent)
    if extent <= _UNROLLED_STEPS or extent % _LONG_STEP:
        return steps
    return [*steps[:-1], *sch.split(steps[-1], [None, _LONG_STEP])]


def _read_weights_together(sch: Schedule, block: SBlockRV, results: list[LoopRV], packed: int) -> list[LoopRV]:
    """Load neighbouring weights at once, for all results of the tile that they serve; return the loops of the tile."""
    size = read_together(int(sch.get(results[packed]).extent))
    if size == 1:
        return results
    group, single = sch.split(results[packed], [None, size])
    others = [loop for axis, loop in enumerate(results) if axis != packed]
    sch.reorder(group, *others, single)
    weights = sch.cache_read(block, len(sch.get(block).reads) - 1, "global")
    sch.compute_at(weights, group)
    sch.annotate(sch.get_loops(weights)[-1], READ, size)
    return [group, *others, single]


def _first_step(sch: Schedule, block: SBlockRV) -> LoopRV:
    """Return the outermost reduction loop of a block whose loops are its axes in order."""
    kinds = [axis.iter_type for axis in sch.get(block).iter_vars]
    return sch.get_loops(block)[kinds.index(_REDUCTION)]


def _last_stage(sch: Schedule, block: SBlockRV) -> SBlockRV:
    """Return the stage that turns the sums of a reduction into its only reader's output, or one that just copies."""
    extents = _spatial_extents(sch, block)
    for reader in sch.get_consumers(block):
        alone = len(sch.get_consumers(block)) == 1 and not _is_reduction(sch, reader)
        unsplit = len(sch.get_loops(reader)) == len(extents)  # another reduction may have taken its loops
        if alone and unsplit and _spatial_extents(sch, reader) == extents:
            return reader
    return sch.cache_write(block, 0, "global")


def _innermost(sch: Schedule, steps: list[LoopRV]) -> list[LoopRV]:
    """Return the innermost loops that together are short enough to unroll."""
    chosen: list[LoopRV] = []
    total = 1
    for loop in reversed(steps):
        total *= int(sch.get(loop).extent)
        if total > _UNROLLED_STEPS:
            break
        chosen.append(loop)
    return chosen


def _unroll(sch: Schedule, loops: list[LoopRV]) -> None:
    for loop in loops:
        if int(sch.get(loop).extent) > 1:
            sch.unroll(loop)


def _spatial_extents(sch: Schedule, block: SBlockRV) -> list[int]:
    return [int(axis.dom.extent) for axis in sch.get(block).iter_vars if axis.iter_type != _REDUCTION]


def _sums_products(sch: Schedule, block: SBlockRV) -> bool:
    """True for a body `c = c + a * b`."""
    store = sch.get(block).body
    if not _is_reduction(sch, block) or not isinstance(store, tirx.BufferStore):
        return False
    return isinstance(store.value, tirx.Add) and isinstance(store.value.b, tirx.Mul)


def _steps(sch: Schedule, block: SBlockRV) -> int:
    return math.prod(int(axis.dom.extent) for axis in sch.get(block).iter_vars)


def _nodes(root: tirx.Stmt, kind: type[_Node]) -> list[_Node]:
    found: list[_Node] = []
    tvm_ffi.structural_walk(root, (kind, found.append))
    return found
