"""Program -> bundle folder: print the C, build it, measure it, make the test vectors, write the manifest."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import tvm

from edgecompress import __version__
from edgecompress.compile import (
    binary_weights,
    emit_c,
    emit_network,
    emit_weights,
    fit,
    libraries,
    link,
    memory,
    sizes,
    threads,
    vectors,
)
from edgecompress.compile.lower import lower
from edgecompress.compile.program import CKernel, Program
from edgecompress.core import compilers, files
from edgecompress.core.bundle import Arena, Bundle, Manifest, ModeBounds
from edgecompress.core.compilers import Compiler
from edgecompress.core.target import Target
from edgecompress.core.values import AppliedStep, Progress, Samples, no_progress

SOURCES = Path("src")
REFERENCE = Path("host/reference")
NETWORK = link.Network(sources=tuple(str(SOURCES / name) for name in ("model.c", "weights.c", "network.c")))
LINUX_NETWORK = link.Network(sources=tuple(str(SOURCES / name) for name in ("model.c", "weights.s", "network.c")))
EMPTY_NETWORK = Path("objects/empty.c")
STAGES = ("generate C", "compile for the device", "compile for this machine", "make test vectors")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a program came from: the hash of its ONNX graph and the steps that the model went through."""

    model_sha256: str
    steps: tuple[AppliedStep, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A program with its kernels in C and its arena planned."""

    program: Program
    kernels: Mapping[str, CKernel]
    arena: Arena


def lower_and_plan(program: Program) -> Lowered:
    """Bring a program's kernels to C and plan its arena."""
    return plan(program, lower(program.kernels))


def plan(program: Program, lowered: Mapping[str, CKernel]) -> Lowered:
    """Plan the arena of a program whose kernels are in C already."""
    kernels = {name: lowered[name] for name in program.kernels}
    kernels |= {name: cut.wrap(kernels) for name, cut in program.cuts.items()}
    long = {call.kernel for call in program.calls if threads.is_long(call, kernels[call.kernel])}
    kernels |= {name: threads.spread(kernels[name]) for name in long}
    workspaces = {name: kernel.workspaces for name, kernel in kernels.items()}
    return Lowered(program=program, kernels=kernels, arena=memory.plan(memory.lifetimes(program, workspaces)))


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
    """Build everything in a draft folder that takes its name when it is whole; `modes` go into its manifest.

    Raises DoesNotFitError before a compiler runs when the bounds pass the target's limits, and after linking when the
    firmware does; MissingToolError, ToolFailedError and StorageError as core.tools and core.files do.
    """
    progress(STAGES[0], 0, len(STAGES))
    lowered = lower_and_plan(program)
    bounds = fit.estimate(program, lowered.kernels, lowered.arena, target)
    bounds.raise_if_too_big()
    runtime = link.find_runtime(target.port)
    compiler = compilers.choose(target)
    network = replace(network_of(target), small=program.optimize == "size")
    inputs, about_vectors = vectors.choose_inputs(program.inputs, samples)
    with files.whole_folder(folder) as draft:
        build_id = _write_sources(lowered, target, compiler, runtime, draft)
        progress(STAGES[1], 1, len(STAGES))
        whole, empty = _build_for_device(draft, network, target, compiler, runtime)
        if target.system == "linux":
            libraries.build(draft, network, target, compiler)
        progress(STAGES[2], 2, len(STAGES))
        link.build_reference(draft, network, REFERENCE, flags=link.reference_flags(target))
        progress(STAGES[3], 3, len(STAGES))
        vectors.write(draft, draft / REFERENCE, inputs, (program.inputs, program.outputs))
        shutil.rmtree(draft / link.OBJECTS)
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
            program=str(program_path(target)),
            files=_hashes(draft),
            tools=_tool_versions(compiler),
        )
        fit.check_linked(manifest.sizes, bounds)
        (draft / "manifest.json").write_text(manifest.model_dump_json(indent=2) + "\n")
    progress(STAGES[-1], len(STAGES), len(STAGES))
    return Bundle(folder=folder, manifest=manifest)


def program_path(target: Target) -> Path:
    """Where in the bundle the program for the device lies."""
    return Path("firmware.elf" if target.system == "bare" else "program")


def network_of(target: Target) -> link.Network:
    """The generated sources for a target: weights as C, or as bytes where they may be too many for a C compiler."""
    return LINUX_NETWORK if target.system == "linux" else NETWORK


def _write_sources(lowered: Lowered, target: Target, compiler: Compiler, runtime: link.Runtime, draft: Path) -> bytes:
    """Write src/ and runtime/ and return the build id: a hash of all sources, the target and its flags."""
    for used in (runtime, link.find_runtime(link.REFERENCE_PORT)):
        link.copy_runtime(used, draft)
    program = lowered.program
    texts: dict[str, str | bytes] = {
        **emit_c.model_sources(program, lowered.kernels, lowered.arena),
        **_weights_files(program, target),
    }
    sources = {name: text.encode() if isinstance(text, str) else text for name, text in texts.items()}
    unnamed = emit_network.network_source(program, target.name, bytes(emit_network.BUILD_ID_BYTES))
    words = (target.name, compiler.kind, *link.device_flags(target, compiler, small=program.optimize == "size"))
    build_id = _build_id({**sources, "network.c": unnamed.encode()}, words, runtime)
    sources["network.c"] = emit_network.network_source(program, target.name, build_id).encode()
    (draft / SOURCES).mkdir()
    for name, content in sources.items():
        (draft / SOURCES / name).write_bytes(content)
    (draft / EMPTY_NETWORK).parent.mkdir()
    (draft / EMPTY_NETWORK).write_text(emit_network.empty_network_source(target.name))
    return build_id


def _weights_files(program: Program, target: Target) -> Mapping[str, str | bytes]:
    if target.system == "linux":
        return binary_weights.weights_files(program, str(SOURCES))
    return emit_weights.weights_sources(program)


def _build_id(sources: Mapping[str, bytes], words: tuple[str, ...], runtime: link.Runtime) -> bytes:
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{word}\n".encode())
    for name, content in sorted(sources.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    for name in runtime.files:
        digest.update(f"{name} {files.sha256(runtime.folder / name)}\n".encode())
    return digest.digest()[: emit_network.BUILD_ID_BYTES]


def _build_for_device(
    draft: Path, network: link.Network, target: Target, compiler: Compiler, runtime: link.Runtime
) -> tuple[sizes.Footprint, sizes.Footprint]:
    """Link the device's program, and the same with an empty network; return what both take."""
    link.build_device_program(draft, network, target, compiler, runtime, program_path(target))
    empty = link.OBJECTS / "empty"
    nothing = link.Network(sources=(str(EMPTY_NETWORK),))
    link.build_device_program(draft, nothing, target, compiler, runtime, empty)
    return sizes.read_footprint(draft / program_path(target)), sizes.read_footprint(draft / empty)


def _hashes(draft: Path) -> dict[str, str]:
    paths = sorted(path for path in draft.rglob("*") if path.is_file())
    return {path.relative_to(draft).as_posix(): files.sha256(path) for path in paths}


def _tool_versions(compiler: Compiler) -> dict[str, str]:
    return {"edgecompress": __version__, "tvm": tvm.__version__, **link.tool_versions(compiler)}
