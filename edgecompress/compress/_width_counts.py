"""The instructions of every layer at every width of its weights, as a target counted them.

Most kernels take as many for 4 bits as for 8, and more where they unpack indices; weights of 2 bits are mostly zeros,
which sparse kernels skip. Nothing of this is assumed: a width that takes no fewer saves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgecompress.compress._budgets import MOST_BITS
from edgecompress.core.counting import CountInstructions, InstructionCounts
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import Finding, Model, Progress, Series

NOISE_TICKS = 2
"""Two runs of the same layer differ by so many ticks of the clock at most."""


@dataclass(frozen=True, kw_only=True)
class WidthCounts:
    """Instructions by layer and bits; `total` those of the network with 8 bits, `elsewhere` those of other layers."""

    target: str
    by_layer: Mapping[str, Mapping[int, float]]
    total: float
    elsewhere: float

    def saving(self) -> tuple[int, ...]:
        """The widths that take fewer instructions than 8 bits in some layer."""
        widths = {bits for of_layer in self.by_layer.values() for bits in of_layer}
        return tuple(
            bits
            for bits in sorted(widths - {MOST_BITS})
            if any(of_layer[bits] < of_layer[MOST_BITS] for of_layer in self.by_layer.values())
        )

    def missed(self, least: float, wanted: float | None, bits: Sequence[int], *, where: str) -> ConfigError:
        """The error of a budget that cannot be met: whether any of the widths saves instructions at all."""
        share = (least + self.elsewhere) / self.total
        message = (
            f"{where}: instructions = {wanted:g} cannot be met on {self.target}: {share:.3g} is the least with bits = "
            f"{list(bits)}"
        )
        if self.saving():
            return ConfigError(message, hint="allow fewer bits, or name fewer layers in `keep`")
        return ConfigError(
            f"{message}, for no layer takes fewer instructions with fewer bits",
            hint="weights of 2 bits are mostly zeros, which some kernels skip; fewer bits save flash: set size instead",
        )


def count(
    networks: Mapping[int, Model], layers: Sequence[str], counter: CountInstructions, progress: Progress
) -> WidthCounts:
    """Count networks by the bits of their weights, all layers alike; `layers` are the names of those with weights."""
    counted = {}
    for done, (bits, network) in enumerate(networks.items()):
        progress("count instructions", done, len(networks))
        counted[bits] = counter(network)
    progress("count instructions", len(networks), len(networks))
    whole = counted[MOST_BITS]
    by_layer = {name: {bits: _of_layer(name, layers, each) for bits, each in counted.items()} for name in layers}
    steady = {name: {bits: _steady(found, bits, whole.tick) for bits in found} for name, found in by_layer.items()}
    elsewhere = whole.total - sum(found[MOST_BITS] for found in steady.values())
    return WidthCounts(target=whole.target, by_layer=steady, total=whole.total, elsewhere=elsewhere)


def finding(counts: WidthCounts, bits: Mapping[str, int], total: float) -> Finding:
    """Draw the counts, and say what the chosen widths took together."""
    names = tuple(f"{name} ({bits[name]} bits)" for name in counts.by_layer)
    widths = sorted({width for of_layer in counts.by_layer.values() for width in of_layer})
    note = f"Counted on {counts.target}: {total:,.0f} with these widths, {counts.total:,.0f} with 8 bits everywhere."
    if not counts.saving():
        note += " No layer takes fewer instructions with fewer bits there."
    return Finding(
        title="Instructions of each layer by the bits of its weights",
        kind="bars",
        x_label="layer, and the bits that it got",
        y_label="instructions",
        series=tuple(
            Series(name=f"{width} bits", x=names, y=tuple(each[width] for each in counts.by_layer.values()))
            for width in widths
        ),
        note=note,
    )


def _of_layer(name: str, layers: Sequence[str], counts: InstructionCounts) -> float:
    """The instructions of the call that computes a layer; a call that computes several counts in equal parts."""
    total = 0.0
    for call in counts.layers:
        if name in call.nodes:
            total += call.instructions / sum(each in call.nodes for each in layers)
    return total


def _steady(found: Mapping[int, float], bits: int, tick: float) -> float:
    """Take a difference from 8 bits that the clock does not resolve for none."""
    near = abs(found[bits] - found[MOST_BITS]) <= NOISE_TICKS * tick
    return found[MOST_BITS] if near else found[bits]
