"""The bars of benchmarks/compression.py: what each method must keep, and what it must save."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.compression_cases import Network
from benchmarks.compression_figures import Figures

PRUNED = {"cnn": ("channels pruned by half, l2", 0.7), "depthwise": ("channels pruned by half, batch norm", 2.5)}
LEAST_MACS_SAVED = 0.5
MOST_LOST_BY_INT8 = 0.3
LEAST_GAIN_BY_QAT = 2.0
MOST_LOST_BY_TUCKER = 0.8
LEAST_GAIN_BY_DISTILLATION = 2.0
LEAST_DEEP_COMPRESSION, MOST_LOST_BY_IT = 10.0, 1.0
MOST_FLASH_OF_CODEBOOK = 0.55
FEWER_INSTRUCTIONS, LESS_FLASH, MOST_LOST_BY_COMBINED = 8.0, 6.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A figure that must be at least or at most a limit."""

    name: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def is_missed(self) -> bool:
        """True on the wrong side of the limit."""
        return self.value < self.limit if self.at_least else self.value > self.limit

    def __str__(self) -> str:
        return f"{self.name}: {self.value:.3g}, must be at {'least' if self.at_least else 'most'} {self.limit:g}"


def hold(figures: Iterable[Figures]) -> tuple[Bar, ...]:
    """Hold every bar whose cases were measured."""
    return tuple(_bars({each.case.key: each for each in figures}))


def _bars(found: dict[tuple[str, str], Figures]) -> Iterator[Bar]:
    for network, (name, most_lost) in PRUNED.items():
        pruned, given = found.get((network, name)), found.get((network, "as given"))
        if pruned and given:
            yield Bar(name=f"{network}, {name}: points lost", value=pruned.lost, limit=most_lost)
            saved = 1 - pruned.macs / given.macs
            yield Bar(name=f"{network}, {name}: MACs saved", value=saved, limit=LEAST_MACS_SAVED, at_least=True)
    networks: tuple[Network, ...] = ("cnn", "depthwise")
    for network in networks:
        if int8 := found.get((network, "static int8")):
            yield Bar(name=f"{network}, static int8: points lost", value=int8.lost, limit=MOST_LOST_BY_INT8)
    learned, static = ("depthwise", "qat, all at 4 bits"), ("depthwise", "static, all at 4 bits")
    yield from _gain(found, learned, static, LEAST_GAIN_BY_QAT)
    if tucker := found.get(("cnn", "tucker by half")):
        yield Bar(name="cnn, tucker by half: points lost", value=tucker.lost, limit=MOST_LOST_BY_TUCKER)
    alone, taught = ("student", "student alone"), ("cnn", "student distilled")
    yield from _gain(found, taught, alone, LEAST_GAIN_BY_DISTILLATION)
    if deep := found.get(("cnn", "deep compression")):
        ratio = deep.stored_before / deep.stored_bytes
        yield Bar(name="cnn, deep compression: times smaller", value=ratio, limit=LEAST_DEEP_COMPRESSION, at_least=True)
        yield Bar(name="cnn, deep compression: points lost", value=deep.lost, limit=MOST_LOST_BY_IT)
    yield from _codebook(found)
    yield from _combined(found)


def _codebook(found: dict[tuple[str, str], Figures]) -> Iterator[Bar]:
    """Hold what layers with a codebook take, with all code that came in for them, against the same layers in int8."""
    shared, int8 = found.get(("cnn", "codebook of 16")), found.get(("cnn", "static int8, mode size"))
    if not shared or not int8 or not shared.device or not int8.device:
        return
    pairs = [
        (one.weight_bytes, other.weight_bytes)
        for one, other in zip(shared.device.layers, int8.device.layers, strict=True)
        if "codebook_" in one.kernel
    ]
    more_code = shared.device.code_bytes - int8.device.code_bytes
    share = (sum(one for one, _ in pairs) + more_code) / max(1, sum(other for _, other in pairs))
    yield Bar(name="cnn, codebook of 16: flash of its layers", value=share, limit=MOST_FLASH_OF_CODEBOOK)


def _combined(found: dict[tuple[str, str], Figures]) -> Iterator[Bar]:
    """Hold the combined recipe against plain int8 of the network as given, all on the board."""
    small, plain = found.get(("cnn", "combined")), found.get(("cnn", "static int8"))
    if not small or not plain or not small.device or not plain.device or small.device.accuracy is None:
        return
    fewer = plain.device.instructions / small.device.instructions
    yield Bar(name="cnn, combined: times fewer instructions", value=fewer, limit=FEWER_INSTRUCTIONS, at_least=True)
    less = plain.device.flash_bytes / small.device.flash_bytes
    yield Bar(name="cnn, combined: times less flash", value=less, limit=LESS_FLASH, at_least=True)
    lost = 100 * (small.before[0] - small.device.accuracy)
    yield Bar(name="cnn, combined: points lost on the board", value=lost, limit=MOST_LOST_BY_COMBINED)


def _gain(
    found: dict[tuple[str, str], Figures], better: tuple[str, str], worse: tuple[str, str], least: float
) -> Iterator[Bar]:
    """Hold how many points one case is above another."""
    one, other = found.get(better), found.get(worse)
    if one and other:
        gain = 100 * (sum(one.after) / len(one.after) - sum(other.after) / len(other.after))
        yield Bar(name=f"{', '.join(better)}: points above {worse[1]}", value=gain, limit=least, at_least=True)
