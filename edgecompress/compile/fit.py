"""Does a program fit a target? Bounds that hold before any compiler runs: never below what the device will show.

Weights and arena are exact; code and stack are bounded from the generated C (code_bound.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import computed_field

from edgecompress.compile import code_bound, emit_c
from edgecompress.compile.emit_weights import constant_names
from edgecompress.core.bundle import Arena, Sizes
from edgecompress.core.errors import DoesNotFitError
from edgecompress.core.slot_image import payload_region
from edgecompress.core.target import Target
from edgecompress.core.values import FileValue

if TYPE_CHECKING:
    from edgecompress.compile.program import CKernel, Program

STACK_ROOM_BYTES = 2048
"""What device_runtime's linker script wants left for the stack; a test compares them."""

RUNTIME_STACK_BYTES = 768
CODE_BYTES_PER_CALL = 96


@dataclass(frozen=True, kw_only=True)
class RuntimeBounds:
    """What the runtime takes by itself, and how much more than a Cortex-M a system's code needs.

    Where a program is `loaded`, its code and weights lie in RAM too.
    """

    flash_bytes: int
    ram_bytes: int
    code_factor: int
    loaded: bool

    def ram_of(self, flash_bytes: int, data_bytes: int) -> int:
        """The RAM of a program: its data, and what of it is loaded."""
        return data_bytes + (flash_bytes if self.loaded else 0)


WITH_SLOTS = RuntimeBounds(flash_bytes=20 * 1024, ram_bytes=2 * 1024, code_factor=1, loaded=False)
"""A runtime with slots: what checks signatures is larger than all the rest. Its stack is below STACK_ROOM_BYTES."""

IN_SLOT = RuntimeBounds(flash_bytes=4 * 1024, ram_bytes=256, code_factor=1, loaded=False)
"""What a slot image holds besides the network: its entry, and functions of the C library."""

RUNTIME = {
    "bare": RuntimeBounds(flash_bytes=8 * 1024, ram_bytes=1024, code_factor=1, loaded=False),
    "linux": RuntimeBounds(flash_bytes=32 * 1024, ram_bytes=320 * 1024, code_factor=2, loaded=True),
}
NAMED_TENSORS = 3


class Fit(FileValue):
    """What a program needs at most, and what the target offers (None: no limit).

    `slot` says the same of a slot of the target, in a firmware with slots; the stack is the firmware's.
    """

    model: str
    target: str
    weights_bytes: int
    code_bytes: int
    runtime_flash_bytes: int
    flash_bytes: int
    flash_limit_bytes: int | None
    arena_bytes: int
    stack_bytes: int
    runtime_ram_bytes: int
    ram_bytes: int
    ram_limit_bytes: int | None
    peak_layer: int
    peak_layer_name: str
    peak_tensors: dict[str, int]
    slot: Fit | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def flash_free_bytes(self) -> int | None:
        """What is left of the flash; negative when it is too small."""
        return None if self.flash_limit_bytes is None else self.flash_limit_bytes - self.flash_bytes

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ram_free_bytes(self) -> int | None:
        """What is left of the RAM; negative when it is too small."""
        return None if self.ram_limit_bytes is None else self.ram_limit_bytes - self.ram_bytes

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fits(self) -> bool:
        """True when flash and RAM both suffice, of a slot too."""
        enough = all(free is None or free >= 0 for free in (self.flash_free_bytes, self.ram_free_bytes))
        return enough and (self.slot is None or self.slot.fits)

    def raise_if_too_big(self) -> None:
        """Raise DoesNotFitError with the numbers and the layer that makes the peak."""
        flash = f"{self.flash_bytes:,} bytes of flash; {self.target} has {self.flash_limit_bytes or 0:,}"
        flash_is_short = self.flash_free_bytes is not None and self.flash_free_bytes < 0
        if self.ram_free_bytes is not None and self.ram_free_bytes < 0:
            tensors = ", ".join(f"{name} {size:,}" for name, size in self.peak_tensors.items())
            raise DoesNotFitError(
                f"{self.model} needs {self.ram_bytes:,} bytes of RAM; {self.target} has {self.ram_limit_bytes:,}"
                + (f"; and {flash}" if flash_is_short else ""),
                hint=f"the arena takes {self.arena_bytes:,}, most of it at layer {self.peak_layer} "
                f"({self.peak_layer_name}: {tensors}); try a smaller input or fewer channels there",
            )
        if flash_is_short:
            raise DoesNotFitError(
                f"{self.model} needs {flash}",
                hint=f"the weights take {self.weights_bytes:,}; try int8 quantization or fewer channels",
            )
        if self.slot is not None:
            self.slot.raise_if_too_big()


def estimate_with_slots(
    program: Program, kernels: Mapping[str, CKernel], arena: Arena, target: Target, source: str | None = None
) -> Fit:
    """Bound what the program will need in a firmware with slots (`target` is Target.with_slots) and in a slot."""
    source = source or emit_c.model_sources(program, kernels, arena)["model.c"]
    whole = estimate(program, kernels, arena, target, source, WITH_SLOTS)
    if target.slots is None:
        return whole
    alone = estimate(program, kernels, arena, target, source, IN_SLOT)
    in_slot = {
        "target": f"a slot of {target.name}",
        "flash_limit_bytes": payload_region(target.slots.a).length,
        "ram_bytes": alone.ram_bytes - alone.stack_bytes,
        "stack_bytes": 0,
        "ram_limit_bytes": target.slots.ram.length,
    }
    return whole.model_copy(update={"slot": alone.model_copy(update=in_slot)})


def estimate(
    program: Program,
    kernels: Mapping[str, CKernel],
    arena: Arena,
    target: Target,
    source: str | None = None,
    runtime: RuntimeBounds | None = None,
) -> Fit:
    """Bound what the program will need on the target. `source` is its model.c, where that is known already."""
    runtime = runtime or RUNTIME[target.system]
    weights = weights_bytes(program)
    source = source or emit_c.model_sources(program, kernels, arena)["model.c"]
    code = (code_bound.code_bytes(source) + CODE_BYTES_PER_CALL * len(program.calls)) * runtime.code_factor
    stack = max(RUNTIME_STACK_BYTES + code_bound.frame_bytes(source), STACK_ROOM_BYTES)
    flash = weights + code + runtime.flash_bytes
    peak = [p for p in arena.placements if p.first <= arena.peak_layer <= p.last]
    return Fit(
        model=program.name,
        target=target.name,
        weights_bytes=weights,
        code_bytes=code,
        runtime_flash_bytes=runtime.flash_bytes,
        flash_bytes=flash,
        flash_limit_bytes=target.flash_limit_bytes,
        arena_bytes=arena.bytes,
        stack_bytes=stack,
        runtime_ram_bytes=runtime.ram_bytes,
        ram_bytes=runtime.ram_of(flash, arena.bytes + stack + runtime.ram_bytes),
        ram_limit_bytes=target.ram_limit_bytes,
        peak_layer=arena.peak_layer,
        peak_layer_name=program.calls[arena.peak_layer].name if program.calls else "none",
        peak_tensors={p.name: p.bytes for p in sorted(peak, key=lambda p: -p.bytes)[:NAMED_TENSORS]},
    )


def too_big_by_weights(program: Program, target: Target) -> bool:
    """Tell whether the weights and the runtime alone pass a target's flash."""
    limit = target.flash_limit_bytes
    return limit is not None and weights_bytes(program) + RUNTIME[target.system].flash_bytes > limit


def check_linked(sizes: Sizes, fit: Fit) -> None:
    """Hold the linked firmware against the target's limits. Raises DoesNotFitError."""
    ram_bytes = sizes.firmware_static_ram_bytes + fit.stack_bytes
    actual = {"flash_bytes": sizes.firmware_flash_bytes, "ram_bytes": ram_bytes}
    fit.model_copy(update=actual).raise_if_too_big()


def weights_bytes(program: Program) -> int:
    """The bytes of all constants as they lie in flash, each aligned."""
    names = constant_names(program)
    sizes = {name: np.asarray(program.constants[key]).nbytes for key, name in names.items()}
    return sum(-(-size // program.alignment) * program.alignment for size in sizes.values())
