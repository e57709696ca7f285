"""The order of a network with early exits: what an exit can save lies between its two halves."""

from __future__ import annotations

from edgecompress.compile import c_exits, exits, memory
from edgecompress.compile.exits import Operands, Step
from edgecompress.compile.program import Call, Program, Tensor
from edgecompress.core.bundle import EARLY_EXIT, LATE_EXIT
from edgecompress.core.values import TensorSpec


def step(makes: str, *reads: str) -> Step:
    return Step(makes=makes, reads=reads)


def leave(makes: str, condition: str, taken: str, other: str) -> Step:
    operands = Operands(condition=condition, taken=taken, other=other)
    return Step(makes=makes, reads=(condition, taken, other), exit=operands)


def ordered(*steps: Step, kept: tuple[str, ...] = ("y",)) -> list[str]:
    words = {"whole": "", "exit": "?", "join": "!"}
    return [steps[number].makes + words[part] for number, part in exits.order(steps, kept)]


def test_the_rest_of_a_network_comes_after_the_exit() -> None:
    found = ordered(
        step("trunk", "x"),
        step("deep", "trunk"),
        step("end", "deep"),
        step("head", "trunk"),
        step("sure", "head"),
        leave("y", "sure", "head", "end"),
    )

    assert found == ["trunk", "head", "sure", "y?", "deep", "end", "y!"]


def test_exits_nest() -> None:
    found = ordered(
        step("a", "x"),
        step("b", "a"),
        step("c", "b"),
        step("head_a", "a"),
        step("head_b", "b"),
        leave("inner", "head_b", "head_b", "c"),
        leave("y", "head_a", "head_a", "inner"),
    )

    assert found == ["a", "head_a", "y?", "b", "head_b", "inner?", "c", "inner!", "y!"]


def test_exits_one_after_the_other_stay_apart() -> None:
    found = ordered(
        step("a", "x"),
        step("b", "x"),
        leave("first", "a", "a", "b"),
        step("c", "first"),
        step("d", "first"),
        leave("y", "c", "c", "d"),
    )

    assert found == ["a", "first?", "b", "first!", "c", "y?", "d", "y!"]


def test_what_something_else_needs_too_is_never_left_out() -> None:
    steps = (
        step("head", "x"),
        step("deep", "x"),
        step("end", "deep"),
        leave("y", "head", "head", "end"),
        step("other", "deep", "y"),
    )

    assert ordered(*steps, kept=("y", "other")) == ["head", "deep", "y?", "end", "y!", "other"]
    assert exits.exclusive(steps, 3, ("y", "deep")) == {2}


def test_an_exit_that_saves_nothing_still_gives_either_operand() -> None:
    found = ordered(step("head", "x"), step("end", "x"), leave("y", "head", "head", "end"), kept=("y", "end"))

    assert found == ["head", "end", "y?", "y!"]


def program() -> Program:
    """A trunk, an exit, and what it saves: `late` is larger than all else."""
    copy = {"kernel": "copy_4_bytes", "output": "y"}
    return Program(
        name="exits",
        inputs=(TensorSpec(name="x", shape=(1, 4), dtype="int8"),),
        outputs=(TensorSpec(name="y", shape=(1, 4), dtype="int8"),),
        tensors={
            "head": Tensor(name="head", shape=(1, 4), dtype="int8"),
            "sure": Tensor(name="sure", shape=(1,), dtype="bool"),
            "late": Tensor(name="late", shape=(1, 4), dtype="int8"),
        },
        constants={},
        calls=(
            Call(name="head", op="dense", kernel="k", arguments=("x",), output="head"),
            Call(name="sure", op="at_least", kernel="c", arguments=("head",), output="sure"),
            Call(name="y", op=EARLY_EXIT, arguments=("head",), condition="sure", **copy),
            Call(name="late", op="dense", kernel="k", arguments=("x",), output="late"),
            Call(name="y_join", op=LATE_EXIT, arguments=("late",), **copy),
        ),
        kernels={},
    )


def test_a_taken_exit_goes_on_after_its_other_half() -> None:
    assert c_exits.resumes_at(program(), 2) == 5
    assert "resume_at = 5u;" in c_exits.conditional(program(), 2, "at(0)", "copy_4_bytes(at(0), at(16));")


def test_networks_without_exits_have_nothing_of_them(two_layers: Program) -> None:
    assert c_exits.state(two_layers) == c_exits.guard(two_layers) == ""
    assert "static uint32_t resume_at;" in c_exits.state(program())


def test_the_result_lives_from_the_exit_on_and_the_condition_until_there() -> None:
    spans = {item.name: (item.first, item.last) for item in memory.lifetimes(program(), {})}

    assert spans["y"] == (2, 4)
    assert spans["sure"] == (1, 2)
    assert spans["head"] == (0, 2)
