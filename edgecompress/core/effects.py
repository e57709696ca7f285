"""What each step of a recipe bought and cost: the network's figures before the first step and after every one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from edgecompress.core import figures
from edgecompress.core.recipe import Limits
from edgecompress.core.values import FileValue, Finding, Measurement, Option

ON_DEVICE = ("flash_bytes", "ram_bytes", "latency_instructions", "latency_us")
ON_HOST = ("stored_bytes", "macs")
"""Less is better; what a device showed counts, and without a device what the graph says."""
QUALITIES = ("accuracy", "top1_agreement")
"""More is better."""
LEAST_CHANGE = 0.005
"""A figure that moved by less than half a per cent did not move."""


class StepEffect(FileValue):
    """The network after a step of the recipe, the one that `number` counts; 0 is the network as it was given.

    `pointed_out` says why the step does not pay, None when it does.
    """

    number: int
    method: str
    options: dict[str, Option] = {}
    metrics: tuple[Measurement, ...]
    findings: tuple[Finding, ...] = ()
    pointed_out: str | None = None

    def value(self, metric: str) -> float | None:
        """The figure of a metric, None when it is missing or void."""
        return next((m.value for m in self.metrics if m.metric == metric and m.void is None), None)


def judge(effects: tuple[StepEffect, ...], limits: Limits) -> tuple[StepEffect, ...]:
    """Point out every step that makes the network worse without helping any limit (any figure, without limits)."""
    judged = [
        after.model_copy(update={"pointed_out": _complaint(before, after, limits)})
        for before, after in itertools.pairwise(effects)
    ]
    return (*effects[:1], *judged)


def _complaint(before: StepEffect, after: StepEffect, limits: Limits) -> str | None:
    better, worse = _changes(before, after)
    wanted = _wanted(limits)
    if not worse or any(metric in wanted for metric in better) or (better and not wanted):
        return None
    costs = "; ".join(worse.values())
    if better:
        return f"{costs}; what got better ({', '.join(map(figures.title, better))}) is in no limit of the recipe"
    return f"{costs}; nothing got better"


def _changes(before: StepEffect, after: StepEffect) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Return the metrics that got better, and those that got worse with their figures."""
    changed = dict(_relative_changes(before, after))
    better = tuple(metric for metric, (gain, _) in changed.items() if gain > 0)
    return better, {metric: words for metric, (gain, words) in changed.items() if gain < 0}


def _relative_changes(before: StepEffect, after: StepEffect) -> Iterator[tuple[str, tuple[float, str]]]:
    on_device = any(before.value(name) is not None and after.value(name) is not None for name in ON_DEVICE)
    for metric in (*(ON_DEVICE if on_device else ON_HOST), *QUALITIES):
        was, now = before.value(metric), after.value(metric)
        if was is None or now is None or abs(now - was) <= LEAST_CHANGE * max(abs(was), abs(now)):
            continue
        gain = now - was if metric in QUALITIES else was - now
        unit = next(m.unit for m in after.metrics if m.metric == metric)
        figure = f"{figures.title(metric)} went from {figures.number(was, unit)} to {figures.number(now, unit)}"
        yield metric, (gain, figure)


def _wanted(limits: Limits) -> frozenset[str]:
    """The metrics that the recipe's limits are about."""
    given = {name for name in Limits.model_fields if getattr(limits, name) is not None}
    return frozenset({name.removesuffix("_drop") for name in given})
