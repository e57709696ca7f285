"""Read a meter over and over while something else goes on."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from edgecompress.core.errors import EdgecompressError
from edgecompress.measure.meters._meter import Meter

RATE_HZ = 20.0


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a meter said, and when: seconds of the host's monotonic clock, half way between question and answer."""

    at_s: float
    value: float


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The readings in order. `died` says why there are no more, when the meter stopped before it was told to."""

    quantity: Literal["W", "J"]
    readings: tuple[Reading, ...]
    died: str | None = None

    def between(self, begin_s: float, end_s: float) -> Recording:
        """The readings taken from `begin_s` to `end_s`, no other."""
        inside = tuple(reading for reading in self.readings if begin_s <= reading.at_s <= end_s)
        return Recording(quantity=self.quantity, readings=inside, died=self.died)

    @property
    def duration_s(self) -> float:
        """From the first reading to the last one."""
        return self.readings[-1].at_s - self.readings[0].at_s if self.readings else 0.0

    @property
    def watts(self) -> tuple[float, ...]:
        """The power at each reading; of a counter, the mean power between one reading and the next."""
        if self.quantity == "W":
            return tuple(reading.value for reading in self.readings)
        pairs = zip(self.readings, self.readings[1:], strict=False)
        return tuple((later.value - earlier.value) / (later.at_s - earlier.at_s) for earlier, later in pairs)

    @property
    def mean_watts(self) -> float:
        """The mean power: by trapezoids, since readings do not come at equal times; of a counter, its difference.

        Needs two readings at different times.
        """
        if self.quantity == "J":
            return (self.readings[-1].value - self.readings[0].value) / self.duration_s
        pairs = zip(self.readings, self.readings[1:], strict=False)
        joules = sum((earlier.value + later.value) / 2 * (later.at_s - earlier.at_s) for earlier, later in pairs)
        return joules / self.duration_s

    @property
    def standard_error_watts(self) -> float:
        """The standard error of the mean power, as if readings were independent."""
        each = self.watts
        return statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else 0.0


class Recorder:
    """Reads a meter in a thread of its own, about 20 times a second, from entering to leaving its context."""

    def __init__(self, meter: Meter, rate_hz: float = RATE_HZ) -> None:
        self._meter = meter
        self._period_s = 1 / rate_hz
        self._readings: list[Reading] = []
        self._died: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def recording(self) -> Recording:
        """What was read; all of it once the context is left."""
        return Recording(quantity=self._meter.quantity, readings=tuple(self._readings), died=self._died)

    def _record(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._period_s, time.monotonic())
            if not self._read_once():
                return

    def _read_once(self) -> bool:
        begin = time.monotonic()
        try:
            value = self._meter.read()
        except EdgecompressError as error:
            self._died = f"{self._meter.instrument}: {error.message}"
            return False
        if value is None:
            self._died = f"{self._meter.instrument} did not answer any more after {len(self._readings)} readings"
            return False
        self._readings.append(Reading(at_s=(begin + time.monotonic()) / 2, value=value))
        return True
