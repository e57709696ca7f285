"""One name is right for C, C++, CMake, Arduino and a file system; flags are those that bundles are built with."""

from __future__ import annotations

import re

import pytest

from edgecompress import cli
from edgecompress.compile import link
from edgecompress.export import _flags, _names
from edgecompress.pipeline import exporting


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("wakeword", "wakeword"),
        ("Wake-Word v2.1", "wake_word_v2_1"),
        ("2nd try", "network_2nd_try"),
        ("«αβγ»", "network"),
        ("", "network"),
        ("__init__", "init"),
        ("math", "math_network"),
        ("Test", "test_network"),
        ("class", "class_network"),
        ('*/ "$(rm -rf x)\n', "rm_rf_x"),
        ("a" * 80, "a" * 32),
        ("1" * 80, "network_" + "1" * 24),
        ("a" * 31 + " b", "a" * 31),
    ],
)
def test_any_text_becomes_a_name_that_is_right_everywhere(name: str, wanted: str) -> None:
    found = _names.identifier(name)

    assert found == wanted
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", found)
    assert len(found) <= _names.LONGEST
    assert found not in _names.TAKEN


def test_the_flags_that_keep_a_networks_bytes_are_those_of_its_bundle() -> None:
    of_sections = {*_flags.SECTIONS}

    assert set(_flags.KEEPING_BYTES) | of_sections == {
        flag for flag in link.COMMON_FLAGS if flag.startswith("-f") and "std" not in flag
    }
    assert set(_flags.LINUX) < set(link.LINUX_FLAGS)
    assert _flags.GNU_LINUX == link.GNU_LINUX_FLAGS


def test_clang_gets_no_flag_that_it_does_not_know() -> None:
    flags = ("-O3", *_flags.KEEPING_BYTES, *_flags.GNU_LINUX)

    assert _flags.for_clang(flags) == ("-O3", *_flags.KEEPING_BYTES)


def test_the_commands_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", "--help"])

    shown = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert ended.value.code == 0
    assert "edgecompress export runs/wakeword --as cmake" in shown
    for name in exporting.formats():
        assert name in shown
