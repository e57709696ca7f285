from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecompress.compile import fit, memory
from edgecompress.compile.program import CKernel, Program
from edgecompress.core.bundle import Arena, Sizes
from edgecompress.core.errors import DoesNotFitError
from edgecompress.core.target import Budget, Memory, Region, Target, Toolchain


@pytest.fixture
def board() -> Target:
    return Target(
        name="board",
        description="A board that only tests know",
        system="bare",
        cpu="cortex-m4",
        port="board",
        link="qemu",
        memory=Memory(flash=Region(origin=0, length=65_536), ram=Region(origin=0x2000_0000, length=16_384)),
        toolchain=Toolchain(prefix="arm-none-eabi-"),
    )


@pytest.fixture
def arena(two_layers: Program) -> Arena:
    return memory.plan(memory.lifetimes(two_layers, {"turn": (16,)}))


def test_weights_and_arena_are_exact(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena, board: Target
) -> None:
    bound = fit.estimate(two_layers, two_kernels, arena, board)

    assert bound.weights_bytes == 16 * 4
    assert bound.arena_bytes == 64
    assert bound.flash_bytes == bound.weights_bytes + bound.code_bytes + bound.runtime_flash_bytes
    assert bound.ram_bytes == bound.arena_bytes + bound.stack_bytes + bound.runtime_ram_bytes


def test_what_is_free_is_what_the_target_has_less_what_is_needed(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena, board: Target
) -> None:
    bound = fit.estimate(two_layers, two_kernels, arena, board)

    assert bound.flash_free_bytes == 65_536 - bound.flash_bytes
    assert bound.ram_free_bytes == 16_384 - bound.ram_bytes
    assert bound.fits
    assert bound.model_dump()["fits"] is True


def test_a_target_without_memory_has_no_limit(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena, board: Target
) -> None:
    bound = fit.estimate(two_layers, two_kernels, arena, board.model_copy(update={"memory": None}))

    assert (bound.flash_free_bytes, bound.ram_free_bytes, bound.fits) == (None, None, True)
    bound.raise_if_too_big()


def test_ram_at_the_bound_fits_and_one_byte_less_does_not(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena, board: Target
) -> None:
    need = fit.estimate(two_layers, two_kernels, arena, board).ram_bytes
    enough = board.model_copy(update={"budget": Budget(ram_bytes=need)})
    short = board.model_copy(update={"budget": Budget(ram_bytes=need - 1)})

    fit.estimate(two_layers, two_kernels, arena, enough).raise_if_too_big()
    with pytest.raises(DoesNotFitError) as caught:
        fit.estimate(two_layers, two_kernels, arena, short).raise_if_too_big()

    assert caught.value.message == f"two layers needs {need:,} bytes of RAM; board has {need - 1:,}"
    assert caught.value.hint == (
        "the arena takes 64, most of it at layer 1 (turn: x 16, middle 16, y 16); "
        "try a smaller input or fewer channels there"
    )


def test_too_little_flash_is_refused_with_the_numbers(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena, board: Target
) -> None:
    program = dataclasses.replace(two_layers, constants={"factors": np.zeros(70_000, np.int8)})
    bound = fit.estimate(program, two_kernels, arena, board)

    with pytest.raises(DoesNotFitError) as caught:
        bound.raise_if_too_big()

    assert caught.value.message == f"two layers needs {bound.flash_bytes:,} bytes of flash; board has 65,536"
    assert caught.value.hint == "the weights take 70,000; try int8 quantization or fewer channels"


def test_a_linked_firmware_that_is_too_big_is_refused(
    two_layers: Program, two_kernels: dict[str, CKernel], arena: Arena, board: Target
) -> None:
    bound = fit.estimate(two_layers, two_kernels, arena, board)
    sizes = Sizes(
        flash_bytes=66_000,
        static_ram_bytes=64,
        firmware_flash_bytes=70_000,
        firmware_static_ram_bytes=700,
        weights_bytes=64,
        code_bytes=65_936,
        sections={},
    )

    with pytest.raises(DoesNotFitError, match=r"^two layers needs 70,000 bytes of flash; board has 65,536$"):
        fit.check_linked(sizes, bound)
