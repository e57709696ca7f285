"""Build a network for this machine with the sanitizers, its tensors apart and the room between them poisoned."""

from __future__ import annotations

from pathlib import Path

import linking

from edgecompress.compile import emit_c, emit_network, emit_weights, link, lowering
from edgecompress.core.bundle import Arena, Placement

GAP_BYTES = 64


def spread(arena: Arena) -> Arena:
    """Give every tensor and workspace of a plan room of its own, with a gap after it."""
    placements: list[Placement] = []
    end = GAP_BYTES
    for placement in arena.placements:
        placements.append(placement.model_copy(update={"offset": end}))
        end += -(-placement.bytes // 16) * 16 + GAP_BYTES
    return arena.model_copy(update={"bytes": end, "placements": tuple(placements)})


def poison_source(arena: Arena) -> str:
    """C that poisons what of the arena belongs to no tensor, before main runs."""
    starts = [0, *(placement.offset + placement.bytes for placement in arena.placements)]
    ends = [*(placement.offset for placement in arena.placements), arena.bytes]
    calls = "".join(
        f"  __asan_poison_memory_region(model_arena + {start}, {end - start});\n"
        for start, end in zip(starts, ends, strict=True)
    )
    return (
        '#include <sanitizer/asan_interface.h>\n#include "model.h"\n'
        f"__attribute__((constructor)) static void poison(void) {{\n{calls}}}\n"
    )


def build(folder: Path, lowered: lowering.Lowered, arena: Arena, poison: str, *, sanitize: bool) -> Path:
    """Build the reference program of a lowered network, its arena laid out as `arena`; return its path."""
    folder.mkdir()
    sources = emit_c.model_sources(lowered.program, lowered.kernels, arena)
    sources |= emit_weights.weights_sources(lowered.program)
    sources["network.c"] = emit_network.network_source(lowered.program, "host", bytes(16))
    sources["poison.c"] = poison
    (folder / "src").mkdir()
    for name, text in sources.items():
        (folder / "src" / name).write_text(text)
    link.copy_runtime(link.find_runtime(link.REFERENCE_PORT), folder)
    network = link.Network(sources=(*link.NETWORK.sources, "src/poison.c"))
    linking.reference(folder, network, Path("reference"), sanitize=sanitize)
    return folder / "reference"
