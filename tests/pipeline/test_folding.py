"""Constants that fold without a compiler, and those that TVM's own pass folds."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax

from edgecompress.compile import folding
from edgecompress.core.values import Array

NUMBERS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def network(constant: relax.Expr) -> tvm.IRModule:
    """Give x + constant, the constant bound to a variable of its own."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((4, 3, 2), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(relax.op.add(x, builder.emit(constant)))
        builder.emit_func_output(result)
    return builder.get()


def folded(module: tvm.IRModule) -> tuple[int, Array]:
    """Fold; return how many calls are left, and the constant that the sum takes."""
    bindings = [binding for block in folding.fold(module)["main"].body.blocks for binding in block.bindings]
    calls = [binding.value for binding in bindings if isinstance(binding.value, relax.Call)]
    return len(calls), calls[-1].args[1].value.numpy()


def test_a_view_of_a_transposed_constant_becomes_a_constant() -> None:
    transposed = relax.op.permute_dims(relax.const(NUMBERS), [2, 1, 0])

    calls, found = folded(network(transposed))

    assert calls == 1
    assert np.array_equal(found, NUMBERS.transpose(2, 1, 0))


def test_a_reshaped_constant_takes_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relax.transform, "FoldConstant", None)

    calls, found = folded(network(relax.op.reshape(relax.const(NUMBERS), (4, 3, 2))))

    assert calls == 1
    assert np.array_equal(found, NUMBERS.reshape(4, 3, 2))


def test_what_is_computed_from_constants_alone_becomes_a_constant() -> None:
    doubled = relax.op.multiply(relax.const(NUMBERS.reshape(4, 3, 2)), relax.const(np.float32(2)))

    calls, found = folded(network(doubled))

    assert calls == 1
    assert np.array_equal(found, 2 * NUMBERS.reshape(4, 3, 2))
