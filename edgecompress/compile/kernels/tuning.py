"""What kernels go by beside a layer's shape and the target's features: its caches, and what was measured on a device.

A kernel that can be made in several ways lists them, the most promising first, and lets `pick` choose. That is the
first one, unless a `Tuning` says that another was measured to be faster. No way changes a byte of an int8 layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from edgecompress.core.target import Target

DEFAULT_L1_BYTES = 32 * 1024
"""The level 1 data cache of a core whose profile names none: the least that Cortex-A72, A76 and x86-64 have."""
MOST_WAYS = 4
"""So many ways of a layer are measured."""
MOST_ALGORITHMS = 3
"""So many algorithms or kernel families are measured, each with its best way."""

Way = TypeVar("Way")
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(kw_only=True)
class Tuning:
    """What a compilation goes by, and what it took.

    `measured`: signature of a choice -> label of the way to take. Where there is none the way number `rank` is taken,
    or the last one; of algorithms and kernel families the one of number `algorithm`. `taken` collects, for each kernel,
    the signatures that it asked with and the labels that it got.
    """

    l1_bytes: int = DEFAULT_L1_BYTES
    measured: Mapping[str, str] = field(default_factory=dict)
    rank: int = 0
    algorithm: int = 0
    taken: dict[str, dict[str, str]] = field(default_factory=dict)
    _kernel: str = ""

    def pick(self, signature: str, ways: Iterable[tuple[str, Way]]) -> Way:
        """Choose one of the labelled ways, which come in the order of their estimates."""
        return self._pick(signature, ways, self.rank)

    def pick_algorithm(self, signature: str, ways: Iterable[tuple[str, Way]]) -> Way:
        """Choose one of the labelled algorithms, which come in the order of their estimates.

        A kernel that is written for it calls `note`.
        """
        return self._pick(signature, ways, self.algorithm)

    def note(self, signature: str) -> None:
        """The kernel that is being written was chosen by an answer given before."""
        label = self.taken.get("", {}).get(signature)
        if label is not None:
            self.taken.setdefault(self._kernel, {})[signature] = label

    def _pick(self, signature: str, ways: Iterable[tuple[str, Way]], rank: int) -> Way:
        wanted, chosen = self.measured.get(signature), None
        for number, (label, way) in enumerate(ways):
            if wanted is None and number > rank:
                break
            if chosen is None or wanted in (None, label):
                chosen = (label, way)
            if wanted == label:
                break
        if chosen is None:
            raise ValueError(f"there is no way for {signature}")
        self.taken.setdefault(self._kernel, {})[signature] = chosen[0]
        return chosen[1]

    @contextmanager
    def writing(self, kernel: str) -> Iterator[None]:
        """What is asked inside belongs to this kernel."""
        before, self._kernel = self._kernel, kernel
        try:
            yield
        finally:
            self._kernel = before


_CURRENT: ContextVar[Tuning | None] = ContextVar("tuning", default=None)


def current() -> Tuning:
    """The tuning of this compilation; outside of one, that of an unknown core."""
    return _CURRENT.get() or Tuning()


@contextmanager
def using(tuning: Tuning) -> Iterator[Tuning]:
    """Choose kernels by this tuning inside."""
    token = _CURRENT.set(tuning)
    try:
        yield tuning
    finally:
        _CURRENT.reset(token)


def of(target: Target, measured: Mapping[str, str] = NOTHING, rank: int = 0, algorithm: int = 0) -> Tuning:
    """The tuning for a target."""
    l1_bytes = target.caches.l1_data_bytes if target.caches else DEFAULT_L1_BYTES
    return Tuning(l1_bytes=l1_bytes, measured=measured, rank=rank, algorithm=algorithm)
