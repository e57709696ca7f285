"""Program -> bundle folder: print the C, build it, measure it, make the test vectors, write the manifest."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import tvm

from edgecompress import __version__
from edgecompress.compile import draft as drafts
from edgecompress.compile import (
    emit_c,
    emit_network,
    emit_weights,
    fit,
    libraries,
    link,
    objects,
    sizes,
    slots,
    sources,
    vectors,
)
from edgecompress.compile.draft import Draft
from edgecompress.compile.lowering import lower_and_plan
from edgecompress.compile.program import Program
from edgecompress.core import compilers, files
from edgecompress.core.bundle import Bundle, Manifest, ModeBounds
from edgecompress.core.compilers import Compiler
from edgecompress.core.target import Target
from edgecompress.core.values import AppliedStep, Progress, Samples, no_progress

REFERENCE = Path("host/reference")
EMPTY_NETWORK = objects.FOLDER / "empty.c"
STAGES = ("generate C", "compile for the device", "compile for this machine", "make test vectors")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a program came from: the hash of its ONNX graph and the steps that the model went through."""

    model_sha256: str
    steps: tuple[AppliedStep, ...] = ()


def write_bundle(
    program: Program,
    origin: Origin,
    target: Target,
    folder: Path,
    *,
    modes: tuple[ModeBounds, ...] = (),
    samples: Samples | None = None,
    progress: Progress = no_progress,
) -> Bundle:
    """Do what `finish` does, in a draft of its own."""
    with drafts.begin(target, folder) as draft:
        return finish(draft, program, origin, modes=modes, samples=samples, progress=progress)


def finish(
    draft: Draft,
    program: Program,
    origin: Origin,
    *,
    modes: tuple[ModeBounds, ...] = (),
    samples: Samples | None = None,
    progress: Progress = no_progress,
) -> Bundle:
    """Build everything in a draft folder; `modes` go into its manifest.

    Compilers for the device and for this machine run side by side. Raises DoesNotFitError before one sees the network
    when the bounds pass the target's limits, and after linking when the firmware does; MissingToolError,
    ToolFailedError and StorageError as core.tools and core.files do.
    """
    progress(STAGES[0], 0, len(STAGES))
    target, specs = draft.target, (program.inputs, program.outputs)
    lowered = lower_and_plan(program)
    texts = emit_c.model_sources(program, lowered.kernels, lowered.arena)
    estimate = fit.estimate if draft.slot_key is None else fit.estimate_with_slots
    bounds = estimate(program, lowered.kernels, lowered.arena, target, texts["model.c"])
    bounds.raise_if_too_big()
    compiler = compilers.choose(target)
    inputs, about_vectors = vectors.choose_inputs(program.inputs, samples)
    build_id = sources.begin(draft, program, texts, compiler)
    progress(STAGES[1], 1, len(STAGES))
    here = link.reference_variant(link.reference_flags(target))
    link.build_reference(draft.objects, link.reference_of(target), REFERENCE, here)
    progress(STAGES[2], 2, len(STAGES))
    runs = vectors.start(draft.workers, draft.folder / REFERENCE, inputs, specs)
    network = replace(link.network_of(target), small=program.optimize == "size")
    whole, empty = _build_for_device(draft, network, compiler)
    images = slots.build_images(draft, network, compiler)
    progress(STAGES[3], 3, len(STAGES))
    vectors.write(draft.folder, inputs, vectors.outputs(runs), specs)
    shutil.rmtree(draft.folder / objects.FOLDER)
    constants = emit_weights.constant_names(program)
    manifest = Manifest(
        name=program.name,
        build_id=build_id.hex(),
        target=target.name,
        port=target.port,
        inputs=program.inputs,
        outputs=program.outputs,
        steps=origin.steps,
        model_sha256=origin.model_sha256,
        optimize=program.optimize,
        modes=modes,
        keeps_inputs=program.keeps_inputs,
        layers=sizes.describe_layers(program, whole, constants),
        arena=lowered.arena,
        sizes=sizes.compare(whole, empty, constants),
        vectors=about_vectors,
        slots=images,
        program=str(program_path(target)),
        files=_hashes(draft),
        tools={"edgecompress": __version__, "tvm": tvm.__version__, **link.tool_versions(compiler)},
    )
    fit.check_linked(manifest.sizes, bounds)
    left_out = {"slots"} if images is None else set()
    (draft.folder / "manifest.json").write_text(manifest.model_dump_json(indent=2, exclude=left_out) + "\n")
    progress(STAGES[-1], len(STAGES), len(STAGES))
    return Bundle(folder=draft.final, manifest=manifest)


def program_path(target: Target) -> Path:
    """Where in the bundle the program for the device lies."""
    return Path("firmware.elf" if target.system == "bare" else "program")


def _build_for_device(
    draft: Draft, network: link.Network, compiler: Compiler
) -> tuple[sizes.Footprint, sizes.Footprint]:
    """Link the device's program, the same with an empty network, and the libraries; return what the two take."""
    target = draft.target
    about_slots = str(link.SOURCES / slots.SOURCE) if draft.slot_key is not None else None
    (draft.folder / EMPTY_NETWORK).write_text(emit_network.empty_network_source(target.name))
    nothing, empty = link.Network(sources=(str(EMPTY_NETWORK),)), objects.FOLDER / "empty"
    for each, output in ((nothing, empty), (network, program_path(target))):
        link.build_device_program(draft.objects, each, target, compiler, draft.runtime, output, about_slots)
    if target.system == "linux":
        libraries.build(draft.objects, network, target, compiler)
    return sizes.read_footprint(draft.folder / program_path(target)), sizes.read_footprint(draft.folder / empty)


def _hashes(draft: Draft) -> dict[str, str]:
    paths = sorted(path for path in draft.folder.rglob("*") if path.is_file())
    hashes = draft.workers.map(files.sha256, paths)
    return {path.relative_to(draft.folder).as_posix(): found for path, found in zip(paths, hashes, strict=True)}
