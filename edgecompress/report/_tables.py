"""The tables of a report, as plain text cells: markdown and html print the same facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC

from edgecompress.core import figures
from edgecompress.core.report import DEVICE, FLOAT_HOST, GIVEN_STAGES, Candidate, Report
from edgecompress.core.values import LayerMeasurement, Measurement, Option


@dataclass(frozen=True, kw_only=True)
class Table:
    """Headings, rows of cells as text, which columns hold numbers (they stand to the right), which names the row."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    head: int = 0


def verdict(report: Report) -> str:
    """Say whether the limits were kept, and whether any figure is void."""
    judged = [limit for candidate in report.candidates for limit in candidate.limits]
    missed = sum(not limit.passed for limit in judged)
    words = f"{missed} of {len(judged)} limits missed." if missed else "Every limit is kept."
    return f"{words if judged else 'The recipe sets no limits.'}{_void_words(report)}"


def made(report: Report) -> str:
    """When the report was made, in UTC."""
    return f"{report.created.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def stages(report: Report, candidate: Candidate) -> Table:
    """One row a stage: what the network is there, how large its parameters are, how accurate it is."""
    rows = tuple(_stage_row(report, candidate, m) for m in candidate.measurements if m.metric == "accuracy")
    return Table(
        headings=("Stage", "Network", "Parameters", "Top-1 accuracy", "How"), rows=rows, numeric=frozenset({2})
    )


def limits(candidate: Candidate) -> Table:
    """Every limit of the recipe, what it was compared with, and whether it was kept."""
    rows = tuple(
        (
            figures.title(limit.metric),
            figures.limit_rule(limit),
            figures.limit_figure(limit),
            "kept" if limit.passed else "missed",
        )
        for limit in candidate.limits
    )
    return Table(headings=("Limit", "Rule", "Found", "Verdict"), rows=rows)


def metrics(candidate: Candidate) -> Table:
    """Every measurement with its samples, how it came about, its instrument and its conditions."""
    rows = tuple(_metric_row(measurement) for measurement in candidate.measurements)
    return Table(headings=("Metric", "Value", "How", "Samples", "Instrument", "Conditions"), rows=rows)


def layers(candidate: Candidate) -> Table:
    """One row a layer: what it took, its share of the whole, its work and its bytes."""
    taken = {layer.index: layer for layer in candidate.layers}
    unit = layer_unit(candidate)
    whole = sum(_amount(layer) or 0 for layer in candidate.layers)
    rows = tuple(
        (
            str(layer.index),
            layer.name,
            layer.op,
            *_layer_cost(taken.get(layer.index), whole),
            f"{layer.macs:,}",
            f"{layer.weight_bytes:,}",
            f"{layer.code_bytes:,}",
            "×".join(map(str, layer.output_shape)),
        )
        for layer in candidate.bundle.layers
    )
    headings = ("#", "Layer", "Operator", unit, "Share", "MACs", "Weights, bytes", "Code, bytes", "Output")
    return Table(headings=headings, rows=rows, numeric=frozenset({0, 3, 4, 5, 6, 7}), head=1)


def modes(candidate: Candidate) -> Table:
    """What each mode of --optimize would take; the one that was compiled is marked."""
    built = candidate.bundle.optimize
    rows = tuple(
        (
            f"{mode.optimize}, this one" if mode.optimize == built else mode.optimize,
            f"{mode.weights_bytes:,}",
            f"{mode.code_bytes:,}",
            f"{mode.weights_bytes + mode.code_bytes:,}",
            f"{mode.arena_bytes:,}",
        )
        for mode in candidate.bundle.modes
    )
    headings = ("Mode", "Weights, bytes", "Code at most, bytes", "Flash at most, bytes", "Arena, bytes")
    return Table(headings=headings, rows=rows, numeric=frozenset({1, 2, 3, 4}))


MODES_WORDS = (
    "Computed bounds, nothing of them measured: weights and arena are exact; code is bounded from the generated C, "
    "and does not show that mode size has it compiled with less unrolling. The runtime and the stack come on top."
)


def placements(candidate: Candidate) -> Table:
    """What lies in the arena: where, how large, and during which layers."""
    rows = tuple(
        (p.name, f"{p.offset:,}", f"{p.bytes:,}", f"{p.first} to {p.last}") for p in candidate.bundle.arena.placements
    )
    return Table(headings=("Tensor", "Offset", "Bytes", "Layers"), rows=rows, numeric=frozenset({1, 2}))


def tensors(candidate: Candidate) -> Table:
    """The network's inputs and outputs."""
    rows = tuple(
        (kind, spec.name, spec.dtype, "×".join(map(str, spec.shape)), _quantization(spec.scale, spec.zero_point))
        for kind, specs in (("input", candidate.bundle.inputs), ("output", candidate.bundle.outputs))
        for spec in specs
    )
    return Table(headings=("", "Name", "Type", "Shape", "Quantization"), rows=rows, head=1)


def environment(report: Report, candidate: Candidate) -> Table:
    """With what it was made, so that it can be made again."""
    vectors = candidate.bundle.vectors
    origin = "from the recipe's data" if vectors.origin == "data" else f"seeded, seed {vectors.seed}"
    facts = {
        "edgecompress": report.environment.edgecompress,
        "Python": report.environment.python,
        "Platform": report.environment.platform,
        **report.environment.tools,
        "Device": report.device,
        "Optimized for": candidate.bundle.optimize,
        "Build id": candidate.bundle.build_id,
        "Model SHA-256": candidate.bundle.model_sha256,
        "Test vectors": f"{vectors.count}, {origin}",
    }
    return Table(headings=("What", "Which"), rows=tuple(facts.items()))


def layer_unit(candidate: Candidate) -> str:
    """What the layers' figures count: `Instructions` or `Microseconds`."""
    return "Microseconds" if any(layer.microseconds is not None for layer in candidate.layers) else "Instructions"


def steps(candidate: Candidate) -> tuple[str, ...]:
    """Each compression step with its options, in order."""
    return tuple(
        f"{step.method} ({', '.join(f'{key} = {_option(value)}' for key, value in step.options.items())})"
        if step.options
        else step.method
        for step in candidate.steps
    )


def memory_words(report: Report, candidate: Candidate) -> str:
    """Say what the network adds, what the whole firmware takes, and how much of the target that is."""
    sizes = candidate.bundle.sizes
    flash = _of(sizes.firmware_flash_bytes, report.target.flash_limit_bytes)
    ram = _of(sizes.firmware_static_ram_bytes, report.target.ram_limit_bytes)
    return (
        f"The network adds {sizes.flash_bytes:,} bytes of flash and {sizes.static_ram_bytes:,} bytes of static RAM to "
        f"the runtime. The whole firmware takes {flash} of flash, and {ram} of RAM before its stack."
    )


def arena_words(candidate: Candidate) -> str:
    """Say how good the arena's plan is and which layer makes its peak."""
    arena = candidate.bundle.arena
    gap = arena.bytes - arena.bound
    over = "the plan reaches it" if gap == 0 else f"the plan lies {gap:,} bytes ({gap / arena.bound:.1%}) above it"
    names = {layer.index: layer.name for layer in candidate.bundle.layers}
    peak = names.get(arena.peak_layer, "?")
    return (
        f"The arena takes {arena.bytes:,} bytes. No plan can take less than the {arena.bound:,} bytes that are live at "
        f"layer {arena.peak_layer} ({peak}); {over}."
    )


def target_facts(report: Report) -> tuple[tuple[str, str], ...]:
    """The target in a few words each."""
    target = report.target
    return (
        ("CPU", " ".join((target.cpu, *target.features))),
        ("System", target.system),
        ("Clock", f"{target.clock_hz / 1e6:g} MHz" if target.clock_hz else "not stated"),
        ("Flash limit", _limit(target.flash_limit_bytes)),
        ("RAM limit", _limit(target.ram_limit_bytes)),
        ("Emulated", "yes" if target.emulated else "no"),
    )


def _void_words(report: Report) -> str:
    count = sum(bool(m.void) for candidate in report.candidates for m in candidate.measurements)
    return f" {count} figure{'s are' if count > 1 else ' is'} VOID." if count else ""


def _stage_row(report: Report, candidate: Candidate, accuracy: Measurement) -> tuple[str, ...]:
    stage = accuracy.stage or ""
    if stage in GIVEN_STAGES:
        kind = "float32" if stage == FLOAT_HOST else "int8"
        network, size = f"as given, {kind}", report.baseline.parameter_bytes
    else:
        network = "compiled, in the firmware" if stage == DEVICE else "compiled, for this machine"
        size = candidate.bundle.sizes.weights_bytes
    return stage, network, f"{size:,} bytes", figures.figure(accuracy), _how(accuracy)


def _metric_row(m: Measurement) -> tuple[str, ...]:
    conditions = "; ".join(f"{key}: {value}" for key, value in m.conditions.items())
    return (
        figures.heading(m),
        figures.figure(m),
        _how(m),
        figures.spread(m),
        m.instrument,
        conditions,
    )


def _layer_cost(layer: LayerMeasurement | None, whole: float) -> tuple[str, str]:
    amount = _amount(layer) if layer is not None else None
    if amount is None:
        return "missing: not profiled", ""
    return f"{amount:,.1f}".removesuffix(".0"), f"{amount / whole:.1%}" if whole else ""


def _amount(layer: LayerMeasurement) -> float | None:
    return layer.microseconds if layer.microseconds is not None else layer.instructions


def _how(measurement: Measurement) -> str:
    return measurement.how if measurement.value is not None else ""


def _option(value: Option) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_option(each) for each in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quantization(scale: float | None, zero_point: int | None) -> str:
    return "none" if scale is None else f"scale {scale:g}, zero point {zero_point}"


def _of(count: int, limit: int | None) -> str:
    return f"{count:,} bytes" if limit is None else f"{count:,} of {limit:,} bytes ({count / limit:.1%})"


def _limit(count: int | None) -> str:
    return "not limited" if count is None else f"{count:,} bytes"


def layer_amounts(layers_measured: Iterable[LayerMeasurement]) -> dict[int, float]:
    """What each layer took, by its index: microseconds where the device has a clock, else instructions."""
    return {layer.index: amount for layer in layers_measured if (amount := _amount(layer)) is not None}
