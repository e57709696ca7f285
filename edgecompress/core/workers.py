"""Outside programs side by side: a thread waits for each, and none is left behind when the work is given up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from edgecompress.core.tools import Running

Parameters = ParamSpec("Parameters")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """As many threads as this process may use processors.

    A job gets `running` first and hands it to `tools.run`. Leaving the context waits for all jobs; when an exception
    leaves it (Ctrl-C, a failed job's), programs that run are ended and jobs that wait are dropped.
    """

    def __init__(self) -> None:
        self.count = len(os.sched_getaffinity(0))
        self._threads = ThreadPoolExecutor(self.count)
        self._running = Running()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._running.end()
        self._threads.shutdown()

    def start(
        self,
        job: Callable[Concatenate[Running, Parameters], Result],
        *arguments: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Future[Result]:
        """Give a job to the next thread that is free; its error comes out of the future."""
        return self._threads.submit(job, self._running, *arguments, **options)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Apply a function that leaves the interpreter to others while it works, as hashing does, to every item."""
        return self._threads.map(function, items)
