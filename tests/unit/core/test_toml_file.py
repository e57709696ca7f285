"""core/toml_file: strict reading, and errors that name the file, the key and what it should have been."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompress.core import recipe, toml_file
from edgecompress.core.errors import ConfigError
from edgecompress.core.values import FileValue, Option


class Inner(FileValue):
    size: int
    ratio: float = 0.5


class Outer(FileValue):
    name: str
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    options: dict[str, str | int | float | bool] = {}
    lists: dict[str, Option] = {}
    numbers: tuple[int, ...] = ()
    path: Path | None = None


def read(tmp_path: Path, text: str) -> Outer:
    (tmp_path / "x.toml").write_text(text)
    return toml_file.load(tmp_path / "x.toml", Outer, what="example")


def test_tables_lists_paths_and_plain_values_are_read(tmp_path: Path) -> None:
    text = """
        name = "a"
        numbers = [1, 2]
        path = "b/c"
        inner = { size = 1, ratio = 2 }
        options = { text = "x", whole = 3, part = 0.5, yes = true }
        [[many]]
        size = 4
    """

    assert read(tmp_path, text) == Outer(
        name="a",
        numbers=(1, 2),
        path=Path("b/c"),
        inner=Inner(size=1, ratio=2.0),
        options={"text": "x", "whole": 3, "part": 0.5, "yes": True},
        many=(Inner(size=4),),
    )
    assert type(read(tmp_path, text).options["whole"]) is int
    assert type(read(tmp_path, text).options["yes"]) is bool


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('nam = "a"', "unknown key 'nam'", "did you mean 'name'?"),
        ('name = "a"\nzzz = 1', "unknown key 'zzz'", "known keys: inner, lists, many, name, numbers, options, path"),
        ('name = "a"\n[inner]\nsise = 1', "unknown key 'inner.sise'", "did you mean 'size'?"),
        ('name = "a"\n[[many]]\nsize = 1\n[[many]]\nsize = 2\nrato = 1', "unknown key 'many.rato' (entry 2)", "ratio"),
        ("", "the key 'name' is missing", None),
        ('name = "a"\n[[many]]\nsize = 1\n[[many]]\n', "the key 'many.size' (entry 2) is missing", None),
        ("name = 3", "'name': Input should be a valid string (got 3)", None),
        ('name = "a"\ninner = { size = "5" }', "'inner.size': Input should be a valid integer (got '5')", None),
        ('name = "a"\ninner = { size = 5.0 }', "'inner.size': Input should be a valid integer (got 5.0)", None),
        ('name = "a"\ninner = { size = true }', "'inner.size': Input should be a valid integer (got True)", None),
        (
            'name = "a"\ninner = { size = 1, ratio = nan }',
            "'inner.ratio': Input should be a finite number (got nan)",
            None,
        ),
        ('name = "a"\nnumbers = [1, "b"]', "'numbers' (entry 2): Input should be a valid integer (got 'b')", None),
        ('name = "a"\nnumbers = 1', "'numbers': Input should be a valid array (got 1)", None),
        (
            'name = "a"\noptions = { a = [1] }',
            "'options.a': Input should be text, a number or a boolean (got [1])",
            None,
        ),
        (
            'name = "a"\nlists = { a = { b = 1 } }',
            "'lists.a': Input should be text, a number, a boolean or a list of them (got {'b': 1})",
            None,
        ),
    ],
)
def test_a_wrong_key_or_type_is_named(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)

    assert caught.value.message == f"{tmp_path}/x.toml: {message}"
    assert (hint or "") in (caught.value.hint or "")
    assert (caught.value.hint is None) == (hint is None)
    assert caught.value.exit_code == 3


def test_broken_toml_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, 'name = "a"\noops\n')

    assert caught.value.message == (
        f"{tmp_path}/x.toml: not a valid TOML file: Expected '=' after a key in a key/value pair (at line 2, column 5)"
    )


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"name = '\xff'")

    with pytest.raises(ConfigError) as caught:
        toml_file.load(tmp_path / "x.toml", Outer, what="example")

    assert caught.value.message.startswith(f"{tmp_path}/x.toml: not a valid TOML file: 'utf-8' codec can't decode")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as missing:
        toml_file.load(tmp_path / "x.toml", Outer, what="example")
    with pytest.raises(ConfigError) as folder:
        toml_file.load(tmp_path, Outer, what="example")

    assert missing.value.message == f"example {tmp_path}/x.toml does not exist"
    assert folder.value.message == f"example {tmp_path} cannot be read: Is a directory"


def test_a_rule_over_several_keys_reads_as_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('model = "a.onnx"\n[data]\ninputs = "x"')

    with pytest.raises(ConfigError) as caught:
        recipe.load(tmp_path / "r.toml")

    assert caught.value.message == f"{tmp_path}/r.toml: 'data': give one of `file`, `folder` and `function`"
