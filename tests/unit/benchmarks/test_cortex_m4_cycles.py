"""The estimate follows the manual's timings, and names every network that is not below the best published board."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import cortex_m4_cycles
from benchmarks import cortex_m4_timings as m4

DISASSEMBLY = """
build/program.elf:     file format elf32-littlearm

Disassembly of section .text:

00000100 <sum>:
     100:\tb580      \tpush\t{r7, lr}
     102:\tf8df 0008 \tldr.w\tr0, [pc, #8]\t; 10c <sum+0xc>
     106:\t3901      \tsubs\tr1, #1
     108:\td1fd      \tbne.n\t106 <sum+0x6>
     10a:\tbd80      \tpop\t{r7, pc}
     10c:\t20000000 \t.word\t0x20000000
"""


@pytest.fixture
def good() -> cortex_m4_cycles.Figures:
    return cortex_m4_cycles.Figures(
        benchmark="kws",
        macs=2_656_768,
        instructions=3_351_680,
        timer_instructions=3_351_680,
        timer_step=40,
        cycles=5_182_439,
        pessimistic_cycles=6_000_000,
    )


@pytest.fixture(scope="module")
def best() -> dict[str, cortex_m4_cycles.Published]:
    return cortex_m4_cycles.read_best_published(cortex_m4_cycles.PUBLISHED)


def assemble(*lines: str) -> list[m4.Instruction]:
    """Put instructions, written as `ldr r0, [r1]`, one after the other; `.w` makes them wide."""
    program: list[m4.Instruction] = []
    address = 0x100
    for line in lines:
        mnemonic, _, operands = line.partition(" ")
        size = 4 if mnemonic.endswith(".w") else 2
        program.append(m4.Instruction(address=address, size=size, mnemonic=mnemonic, operands=operands))
        address += size
    return program


def cycles_of(*lines: str, timings: m4.Timings = m4.ESTIMATE) -> int:
    """Cycles of instructions that are executed once, one after the other."""
    program = assemble(*lines)
    return m4.cycles(program, {line.address: m4.Counts(executed=1) for line in program}, timings)


@pytest.mark.parametrize(
    ("line", "cycles"),
    [
        ("adds r0, r1", 1),
        ("smlad.w r3, r7, lr, r3", 1),
        ("smull.w r0, r1, r2, r3", 1),
        ("uqadd8.w r0, r1, r2", 1),
        ("sdiv.w r0, r1, r2", 7),
        ("ldr r0, [r1, #4]", 2),
        ("ldrsb.w r0, [r1], #1", 2),
        ("str r0, [r1, #4]", 1),
        ("strb r0, [r1, r2]", 2),
        ("ldrd.w r0, r1, [r2], #8", 3),
        ("strd.w r0, r1, [r2]", 3),
        ("ldmia.w r0!, {r7, r8, r9, sl}", 5),
        ("push {r4, lr}", 3),
        ("vpop {d8-d9}", 5),
        ("vldr s0, [r0]", 2),
        ("vldr d0, [r0]", 3),
        ("vfma.f32 s0, s1, s2", 3),
        ("vdiv.f32 s0, s1, s2", 14),
        ("vmov s0, r0", 1),
        ("vmov r0, r1, d0", 2),
        ("tbb [pc, r0]", 3),
        ("bne.n 106 <sum+0x6>", 1),
        ("itt ge", 1),
        ("nop", 1),
    ],
)
def test_an_instruction_alone_takes_what_the_manual_says(line: str, cycles: int) -> None:
    assert cycles_of(line) == cycles


@pytest.mark.parametrize(
    ("lines", "cycles"),
    [
        (("ldr r0, [r1]", "ldr r1, [r2]"), 3),
        (("ldr r0, [r1, r2]", "str r0, [r3, #20]"), 3),
        (("ldr r0, [r1, r2]", "str r1, [r3, r2]"), 3),
        (("ldr r0, [r1, r5]", "ldr r1, [r2]", "ldr r2, [r3, #4]"), 4),
    ],
)
def test_the_examples_of_the_manual_on_pipelined_loads_hold(lines: tuple[str, ...], cycles: int) -> None:
    assert cycles_of(*lines) == cycles


def test_a_load_from_an_address_that_was_just_loaded_is_not_pipelined() -> None:
    assert cycles_of("ldr r0, [r1]", "ldr r2, [r0]") == 4


def test_nothing_is_pipelined_after_a_store() -> None:
    assert cycles_of("str r0, [r1]", "ldr r2, [r3]") == 3


def test_an_address_that_was_just_computed_stalls_for_a_cycle() -> None:
    assert cycles_of("adds r1, #4", "ldr r0, [r1]") == 4
    assert cycles_of("smull.w r0, r1, r2, r3", "ldr r0, [r1]") == 4
    assert cycles_of("cmp r1, #4", "ldr r0, [r1]") == 3


def test_if_then_is_folded_onto_an_instruction_of_16_bits_only() -> None:
    assert cycles_of("adds r0, r1", "it ge") == 1
    assert cycles_of("add.w r0, r1", "it ge") == 2


@pytest.mark.parametrize(
    ("lines", "cycles"),
    [
        (("udiv.w r0, r1, r2",), 12),
        (("adds r0, r1", "it ge"), 2),
        (("ldr r0, [pc, #8]",), 3),
        (("ldr r0, [r1]", "ldr.w r1, [r2]"), 4),
    ],
)
def test_the_pessimistic_estimate_takes_the_worst_that_the_manual_leaves_open(
    lines: tuple[str, ...], cycles: int
) -> None:
    assert cycles_of(*lines, timings=m4.PESSIMISTIC) == cycles


def test_each_counted_jump_refills_the_pipeline_and_each_penalty_is_added() -> None:
    program = assemble("ldr r0, [r1]", "bne.n 100 <loop>")
    counts = {0x100: m4.Counts(executed=10, penalty=5), 0x102: m4.Counts(executed=10, jumped=9)}

    assert m4.cycles(program, counts, m4.ESTIMATE) == 10 * 2 + 5 + 10 + 9 * 2
    assert m4.cycles(program, counts, m4.PESSIMISTIC) == 10 * 2 + 5 + 10 + 9 * 3


def test_a_load_that_is_also_jumped_to_is_not_pipelined() -> None:
    program = assemble("ldr r0, [r1]", "ldr r2, [r3]")

    assert m4.cycles(program, {0x100: m4.Counts(executed=1), 0x102: m4.Counts(executed=5)}, m4.ESTIMATE) == 2 + 5 * 2


@pytest.mark.parametrize(
    ("mnemonic", "plain"),
    [
        ("bls.n", "b"),
        ("bleq", "bl"),
        ("lsls", "lsl"),
        ("movs.w", "mov"),
        ("movvs", "mov"),
        ("mls", "mls"),
        ("muls", "mul"),
        ("bics.w", "bic"),
        ("addls", "add"),
        ("ldrble", "ldrb"),
        ("vmovne.f32", "vmov"),
        ("shadd16", "shadd16"),
        ("itett", "itett"),
    ],
)
def test_width_type_condition_and_flags_are_no_part_of_the_mnemonic(mnemonic: str, plain: str) -> None:
    assert m4.base_mnemonic(assemble(f"{mnemonic} r0, r1")[0]) == plain


def test_an_instruction_without_a_timing_is_named() -> None:
    with pytest.raises(ValueError, match=r"^no timing for vmladava\.s8 lr, q0, q1 at 0x100$"):
        cycles_of("vmladava.s8 lr, q0, q1")


def test_an_executed_address_that_was_not_disassembled_is_named() -> None:
    counts = {0x100: m4.Counts(executed=1), 0x200: m4.Counts(executed=1)}

    with pytest.raises(ValueError, match=r"^executed, but not in the disassembly: 0x200$"):
        m4.cycles(assemble("nop"), counts, m4.ESTIMATE)


def test_a_disassembly_is_read_line_by_line() -> None:
    program = m4.read_disassembly(DISASSEMBLY)

    assert [(line.address, line.size, line.mnemonic) for line in program] == [
        (0x100, 2, "push"),
        (0x102, 4, "ldr.w"),
        (0x106, 2, "subs"),
        (0x108, 2, "bne.n"),
        (0x10A, 2, "pop"),
    ]
    assert program[1].operands == "r0, [pc, #8]"


def test_counts_are_read_by_address() -> None:
    assert m4.read_counts("256,10,9,0\n258,1,0,3\n") == {
        256: m4.Counts(executed=10, jumped=9),
        258: m4.Counts(executed=1, penalty=3),
    }


def test_the_best_published_board_is_the_cortex_m4_with_the_fewest_cycles(
    best: dict[str, cortex_m4_cycles.Published],
) -> None:
    assert {name: published.cycles for name, published in best.items()} == {
        "kws": 5_182_440,
        "vww": 10_671_360,
        "ic": 19_815_000,
        "ad": 486_240,
    }
    assert best["ad"] == cortex_m4_cycles.Published(
        cycles=486_240,
        board="NUCLEO-L4R5ZI",
        submitter="plumerai",
        round="v1.1",
        runtime="Plumerai Inference Engine 2023.05",
    )


def test_an_estimate_just_below_the_best_board_is_not_named(
    good: cortex_m4_cycles.Figures, best: dict[str, cortex_m4_cycles.Published]
) -> None:
    assert cortex_m4_cycles.not_below([good], best) == []


def test_an_estimate_at_the_best_board_is_named(
    good: cortex_m4_cycles.Figures, best: dict[str, cortex_m4_cycles.Published]
) -> None:
    assert cortex_m4_cycles.not_below([replace(good, cycles=5_182_440)], best) == [
        "kws: 5,182,440 cycles (estimate), and must be below 5,182,440 (measured, NUCLEO_L4R5ZI)"
    ]


def test_a_network_without_a_published_board_is_not_compared(
    good: cortex_m4_cycles.Figures, best: dict[str, cortex_m4_cycles.Published]
) -> None:
    assert cortex_m4_cycles.not_below([replace(good, benchmark="sww", cycles=10**9)], best) == []


def test_a_plugin_that_counts_something_else_than_the_timer_is_named(good: cortex_m4_cycles.Figures) -> None:
    near = replace(good, timer_instructions=3_351_760)
    far = replace(good, timer_instructions=3_351_800)

    assert cortex_m4_cycles.miscounted([near]) == []
    assert cortex_m4_cycles.miscounted([far]) == [
        "kws: the plugin counts 3,351,680 instructions, and the timer, which steps in 40, 3,351,800"
    ]


def test_the_table_says_what_is_an_estimate_and_what_is_measured_in_80_columns(
    good: cortex_m4_cycles.Figures, best: dict[str, cortex_m4_cycles.Published]
) -> None:
    console = Console(width=80, file=io.StringIO())
    large = replace(
        good, benchmark="ic", macs=12_501_632, instructions=12_520_394, cycles=18_605_301, pessimistic_cycles=18_955_531
    )

    with console.capture() as capture:
        console.print(cortex_m4_cycles.as_table([large], best))

    words = capture.get().split()
    assert words.count("(estimate)") == 2
    assert words.count("(measured)") == 1
    assert words[-8:] == ["ic", "12,501,632", "12,520,394", "18,605,301", "0.94", "18,955,531", "0.96", "19,815,000"]


def test_the_notes_name_the_board_and_both_counts(
    good: cortex_m4_cycles.Figures, best: dict[str, cortex_m4_cycles.Published]
) -> None:
    assert cortex_m4_cycles.as_notes(good, best) == (
        "kws: best board: NUCLEO_L4R5ZI, STMicroelectronics v1.2, X-CUBE-AI v9.0; the timer counts 3,351,680 "
        "instructions in steps of 40, the plugin 3,351,680"
    )
