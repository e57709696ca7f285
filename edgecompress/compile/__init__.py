"""Model -> Bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgecompress.compile import without_torch
from edgecompress.core.values import no_progress

if TYPE_CHECKING:
    from edgecompress.compile.draft import Draft
    from edgecompress.compile.fit import Fit
    from edgecompress.core.bundle import Bundle
    from edgecompress.core.slot_key import PublicKey
    from edgecompress.core.target import Target
    from edgecompress.core.values import Model, Optimize, Progress, Samples

without_torch.install()

NO_WAYS: Mapping[str, str] = MappingProxyType({})


def build(
    model: Model,
    target: Target,
    folder: Path,
    *,
    samples: Samples | None = None,
    optimize: Optimize = "balanced",
    ways: Mapping[str, str] = NO_WAYS,
    slot_key: PublicKey | None = None,
    progress: Progress = no_progress,
) -> Bundle:
    """Compile a model for a target into a bundle folder, which appears only when it is whole.

    The test vectors are the first samples, or seeded inputs when there are none; `optimize` changes no byte of them,
    but for Winograd convolutions of float networks on Linux.
    `ways` are those that were measured to be the fastest (compile.ways); they change no byte of an int8 network.
    With a `slot_key` the firmware has slots for networks that it signed, and the bundle holds this one's images.
    Raises ModelError for what cannot be compiled, DoesNotFitError, MissingToolError, ToolFailedError and StorageError.
    """
    from edgecompress.compile import draft as drafts

    with drafts.begin(target if slot_key is None else target.with_slots(), folder, slot_key) as draft:
        return _build(draft, model, samples, optimize, ways, progress)


def _build(
    draft: Draft,
    model: Model,
    samples: Samples | None,
    optimize: Optimize,
    ways: Mapping[str, str],
    progress: Progress,
) -> Bundle:
    # TVM takes a second to import: the runtime is being compiled meanwhile.
    from edgecompress.compile import assemble
    from edgecompress.compile.graph import to_program
    from edgecompress.compile.kernels import tuning
    from edgecompress.compile.modes import compare

    target = draft.target
    origin = assemble.Origin(
        model_sha256=hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest(), steps=model.steps
    )
    with tuning.using(tuning.of(target, ways)):
        program = to_program(model, target, optimize, samples)
    modes = compare(model, target) if target.system == "bare" else ()
    return assemble.finish(draft, program, origin, modes=modes, samples=samples, progress=progress)


def check(model: Model, target: Target, optimize: Optimize = "balanced", *, slots: bool = False) -> Fit:
    """Bound the flash and RAM that a model needs on a target, without running any compiler.

    With `slots` it must fit a firmware with slots and a slot. Raises ModelError for what cannot be compiled.
    """
    from edgecompress.compile import fit
    from edgecompress.compile.graph import to_program
    from edgecompress.compile.kernels import tuning
    from edgecompress.compile.lowering import lower_and_plan

    target = target.with_slots() if slots else target
    with tuning.using(tuning.of(target)):
        lowered = lower_and_plan(to_program(model, target, optimize))
    estimate = fit.estimate_with_slots if slots else fit.estimate
    return estimate(lowered.program, lowered.kernels, lowered.arena, target)
