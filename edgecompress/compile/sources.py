"""Write a bundle's src/ and begin to compile it, what takes longest first; the build id is a hash of all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompress.compile import binary_weights, emit_network, emit_weights, link, slots
from edgecompress.core import files
from edgecompress.core.compilers import Compiler
from edgecompress.core.target import Target

if TYPE_CHECKING:
    from edgecompress.compile.draft import Draft
    from edgecompress.compile.program import Program


def begin(draft: Draft, program: Program, texts: Mapping[str, str], compiler: Compiler) -> bytes:
    """Write all sources, begin to compile them for the device and for this machine, and return the build id.

    `texts` are the program's without its weights.
    """
    target = draft.target
    small = program.optimize == "size"
    variants = (
        (link.reference_variant(link.reference_flags(target)), link.reference_of(target)),
        (link.device_variant(target, compiler), replace(link.network_of(target), small=small)),
    )
    folder = draft.folder / link.SOURCES
    folder.mkdir()
    written = _write(folder, texts)
    written |= _write(folder, {"weights.h": _weights_header(program, target)})
    for variant, network in variants:
        link.start_network(draft.objects, variant, replace(network, sources=network.sources[:1]))
    written |= _write(folder, _weights_files(program, target))
    unnamed = emit_network.network_source(program, target.name, bytes(emit_network.BUILD_ID_BYTES), pins=target.pin)
    words = (target.name, compiler.kind, *link.device_flags(target, compiler, small=small))
    if draft.slot_key is not None and target.slots is not None:
        written |= _write(folder, {slots.SOURCE: slots.source(target.slots, draft.slot_key)})
    build_id = _build_id({**written, "network.c": unnamed.encode()}, words, draft.runtime)
    _write(folder, {"network.c": emit_network.network_source(program, target.name, build_id, pins=target.pin)})
    for variant, network in variants:
        link.start_network(draft.objects, variant, network)
    return build_id


def _weights_header(program: Program, target: Target) -> str:
    if target.system == "linux":
        return binary_weights.header(program)
    return emit_weights.weights_header(program)


def _weights_files(program: Program, target: Target) -> Mapping[str, str | bytes]:
    if target.system == "linux":
        return binary_weights.weights_files(program, str(link.SOURCES))
    return {"weights.c": emit_weights.weights_source(program)}


def _write(folder: Path, contents: Mapping[str, str | bytes]) -> dict[str, bytes]:
    written = {name: text.encode() if isinstance(text, str) else text for name, text in contents.items()}
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return written


def _build_id(sources: Mapping[str, bytes], words: tuple[str, ...], runtime: link.Runtime) -> bytes:
    digest = hashlib.sha256()
    for word in words:
        digest.update(f"{word}\n".encode())
    for name, content in sorted(sources.items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    for name in runtime.files:
        digest.update(f"{name} {files.sha256(runtime.folder / name)}\n".encode())
    return digest.digest()[: emit_network.BUILD_ID_BYTES]
