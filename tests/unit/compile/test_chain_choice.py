"""Which layers of a network run row by row, and what their function says."""

from __future__ import annotations

import numpy as np

from edgecompress.compile.chain import Chain as RowFunction
from edgecompress.compile.chain import Stage
from edgecompress.compile.integer import chains, in_place
from edgecompress.compile.integer.layers import (
    NO_CLAMP,
    Addition,
    AveragePool,
    Chain,
    Convolution,
    Layer,
    MaxPool,
    Network,
    Value,
)
from edgecompress.compile.kernels import row_chain
from edgecompress.compile.kernels.window import Window
from edgecompress.compile.program import CKernel
from edgecompress.core.values import TensorSpec


def image(name: str, side: int, channels: int) -> Value:
    return Value(name=name, shape=(1, side, side, channels))


def convolution(source: Value, output: Value) -> Convolution:
    """Take three by three pixels; every second one where the output is smaller."""
    side, channels = source.shape[1], source.shape[-1]
    stride = side // output.shape[1]
    return Convolution(
        inputs=(source,),
        output=output,
        nodes=(f"node of {output.name}",),
        weights=np.ones((output.shape[-1], 3, 3, channels), np.int8),
        weight_scales=np.ones(1, np.float32),
        bias=np.zeros(output.shape[-1], np.int64),
        clamp=NO_CLAMP,
        window=Window(
            height=side,
            width=side,
            channels=channels,
            kernel=(3, 3),
            stride=(stride, stride),
            padding=(1, 1, 1, 1) if stride == 1 else (0, 0, 1, 1),
        ),
        groups=1,
    )


def network(*layers: Layer) -> Network:
    def spec(value: Value) -> TensorSpec:
        return TensorSpec(name=value.name, shape=value.shape, dtype="int8")

    return Network(
        name="network", inputs=(spec(layers[0].inputs[0]),), outputs=(spec(layers[-1].output),), layers=layers
    )


def test_the_layers_around_the_peak_become_one_that_takes_the_inputs_place() -> None:
    x, a, b, c, end = image("x", 32, 4), image("a", 32, 16), image("b", 16, 16), image("c", 8, 16), image("y", 8, 16)
    whole = network(convolution(x, a), convolution(a, b), convolution(b, c), convolution(c, end))

    fused = chains.fuse(whole)

    chain = fused.layers[0]
    assert isinstance(chain, Chain)
    assert [stage.output.name for stage in chain.stages] == ["a", "b"]
    assert (chain.inputs, chain.output, chain.nodes) == ((x,), b, ("node of a", "node of b"))
    assert fused.layers[1:] == whole.layers[2:]
    assert max(in_place.lowest(fused)[1]) < max(in_place.lowest(whole)[1]) / 2


def test_layers_with_another_reader_in_between_are_not_joined() -> None:
    x, a, b, end = image("x", 32, 1), image("a", 32, 16), image("b", 32, 16), image("y", 32, 16)
    total = Addition(inputs=(a, b), output=end, nodes=(), clamp=NO_CLAMP)
    whole = network(convolution(x, a), convolution(a, b), total)

    assert chains.fuse(whole) == whole


def test_a_network_whose_peak_is_no_convolution_stays_as_it_is() -> None:
    x, y, end = image("x", 16, 64), image("y", 16, 64), image("end", 16, 64)
    whole = network(Addition(inputs=(x, x), output=y, nodes=(), clamp=NO_CLAMP), convolution(y, end))

    assert chains.fuse(whole).layers[0] == whole.layers[0]


def test_a_layer_runs_ahead_by_the_rows_below_that_the_next_one_sees() -> None:
    first = Window(height=96, width=96, channels=3, kernel=(3, 3), stride=(2, 2), padding=(0, 0, 1, 1))
    second = Window(height=48, width=48, channels=8, kernel=(3, 3), padding=(1, 1, 1, 1))

    plan = row_chain.plan([first, second], 48 * 8, 1)

    assert [(band.rows, band.step, band.first) for band in plan.bands] == [(3, 2, 3), (3, 1, 1)]
    assert (plan.turns, plan.warm_up, plan.output_bytes) == (48, 2, 48 * 8)
    assert plan.room == 3 * 288 + 3 * 384
    assert plan.fits_in_place(96)
    assert not row_chain.plan([second, second], 48 * 16, 1).fits_in_place(48)


def test_the_function_moves_all_bands_before_it_fills_any() -> None:
    head = "const int8_t *restrict x, const int8_t *restrict w, int8_t *restrict y, int32_t zero"
    kernels = {
        "p": CKernel(name="p", source=f"KERNEL void p({head}) {{\n}}\n", workspaces=()),
        "q": CKernel(name="q", source=f"KERNEL void q({head}, int32_t *restrict sums) {{\n}}\n", workspaces=(40,)),
    }
    stages = (
        Stage(kernel="p", scalars=(7,), rows=3, step=2, first=3, row_bytes=288, image_rows=96, beyond=-1),
        Stage(kernel="q", scalars=(9,), rows=3, step=1, first=1, row_bytes=384, image_rows=48, beyond=-128),
    )

    function = RowFunction(name="f", stages=stages, turns=48, warm_up=2, output_bytes=384)
    wrapped = function.wrap(kernels)

    assert (wrapped.workspaces, wrapped.calls) == ((864 + 1152 + 48,), ("p", "q"))
    assert wrapped.source.splitlines() == [
        "KERNEL void f(const int8_t *image, const int8_t *w0, const int8_t *w1, int8_t *output, uint8_t *room) {",
        "  int8_t *const band0 = (int8_t *)room + 0;",
        "  int8_t *const band1 = (int8_t *)room + 864;",
        "  for (int32_t turn = -2; turn < 48; ++turn) {",
        "    memmove(band0, band0 + 576, 288u);",
        "    memmove(band1, band1 + 384, 768u);",
        "    copy_rows(band0 + 288, image, turn * 2 + 3, 2, 288, 96, -1);",
        "    if (turn * 1 + 1 > -1 && turn * 1 + 1 < 48) {",
        "      p(band0, w0, band1 + 768, 7);",
        "    }",
        "    fill_rows(band1 + 768, turn * 1 + 1, 1, 384, 48, -128);",
        "    if (turn >= 0) {",
        "      q(band1, w1, output + turn * 384, 9, (int32_t *)(void *)(room + 2016));",
        "    }",
        "  }",
        "}",
    ]


def pool(
    kind: type[AveragePool] | type[MaxPool], source: Value, output: Value, above: int = 0
) -> AveragePool | MaxPool:
    side, channels = source.shape[1], source.shape[-1]
    window = Window(
        height=side, width=side, channels=channels, kernel=(3, 3), stride=(2, 2), padding=(above, 0, 1 - above, 1)
    )
    return kind(inputs=(source,), output=output, nodes=(), window=window, clamp=NO_CLAMP)


def test_a_max_pool_is_joined_with_the_convolution_before_it() -> None:
    x, a, b, end = image("x", 32, 4), image("a", 32, 16), image("b", 16, 16), image("y", 8, 16)

    fused = chains.fuse(network(convolution(x, a), pool(MaxPool, a, b), convolution(b, end)))

    assert isinstance(fused.layers[0], Chain)
    assert [type(stage) for stage in fused.layers[0].stages] == [Convolution, MaxPool]


def test_an_average_over_rows_beyond_the_image_is_not_joined() -> None:
    x, a, b = image("x", 32, 4), image("a", 32, 16), image("b", 16, 16)
    whole = network(convolution(x, a), pool(AveragePool, a, b))

    assert chains.fuse(whole) is whole
