"""A property: whatever layer is drawn, every family of kernels gives its definition's bytes, inside of its tensors.

The C is built for this machine, with the sanitizers: for the DSP and Helium kernels that is their plain C.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import random_images
import random_layers
from hypothesis import given, settings
from hypothesis import strategies as st
from poisoned_arena import build, poison_source, spread

from edgecompress.compile import lowering
from edgecompress.compile.integer.emit import emit
from edgecompress.compile.program import Program
from edgecompress.core.bundle import run_host_program

FAMILIES: dict[str, tuple[str, ...]] = {"generic": (), "dsp": ("dsp",), "mve": ("dsp", "mve")}
"""The features that make a target use a family."""

KINDS = (*random_layers.KINDS, *random_images.KINDS)

LARGEST_NETWORK = 4
"""Layers that are built at once: a build costs a second, a layer little."""


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_every_family_gives_the_bytes_of_a_drawn_layers_definition(data: st.DataObject) -> None:
    def pick(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    layers = [random_layers.draw(pick, f"layer_{number}", KINDS) for number in range(pick(1, LARGEST_NETWORK))]
    copies = {family: [layer.renamed(f"{family}_{layer.name}") for layer in layers] for family in FAMILIES}
    everything = [layer for family in copies.values() for layer in family]

    optimize = ("balanced", "size")[pick(0, 1)]
    networks = {family: random_layers.network(copies[family]) for family in FAMILIES}
    program = merged([emit(networks[family], FAMILIES[family], optimize) for family in FAMILIES])
    lowered = lowering.lower_and_plan(program)
    arena = spread(lowered.arena)
    with TemporaryDirectory() as folder:
        built = build(Path(folder) / "drawn", lowered, arena, poison_source(arena), sanitize=True)
        samples = random_layers.samples(everything)
        outputs = run_host_program(built, program.inputs, program.outputs, dict(samples.inputs))

    assert random_layers.differences(everything, outputs) == []


def merged(programs: Sequence[Program]) -> Program:
    """Run programs one after the other; kernels of one name are one."""
    return dataclasses.replace(
        programs[0],
        inputs=tuple(spec for program in programs for spec in program.inputs),
        outputs=tuple(spec for program in programs for spec in program.outputs),
        constants={name: values for program in programs for name, values in program.constants.items()},
        calls=tuple(call for program in programs for call in program.calls),
        kernels={name: kernel for program in programs for name, kernel in program.kernels.items()},
    )
