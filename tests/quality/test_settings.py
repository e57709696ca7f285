"""The lists in pyproject.toml are complete: import rules, folders of tests, dependencies."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETTINGS = PROJECT["tool"]

LOADED_BY_ANOTHER = {"onnxscript", "vl-convert-python"}
"""torch.onnx.export and altair import them."""


def test_every_rule_covers_every_module_but_the_allowed_ones() -> None:
    everything = {
        f"edgecompress.{path.stem}"
        for path in (ROOT / "edgecompress").iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or path.is_dir())
    }
    allowed = {
        "click and rich-click only in the command line": {"edgecompress.cli"},
        "tvm only in compile": {"edgecompress.compile"},
        "pyserial and paramiko only in deploy": {"edgecompress.deploy"},
        "torch only in models and compress": {"edgecompress.models", "edgecompress.compress"},
    }
    forbidding = {
        c["name"]: set(c["source_modules"]) for c in SETTINGS["importlinter"]["contracts"] if c["type"] == "forbidden"
    }
    assert forbidding == {name: everything - exceptions for name, exceptions in allowed.items()}


def test_a_plain_pytest_runs_every_folder_that_holds_tests() -> None:
    needs_a_board = {"tests/hardware"}
    folders = {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders - needs_a_board == set(SETTINGS["pytest"]["ini_options"]["testpaths"])


def test_the_package_depends_on_exactly_what_it_imports() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["train"], *extras["pyocd"]]
    declared = {re.split(r"[=<>]", words)[0] for words in wanted}
    distributions = packages_distributions()
    imported = {distributions[name][0].lower() for name in _imported() if name != "edgecompress"}
    assert declared - LOADED_BY_ANOTHER == imported


def _imported() -> set[str]:
    """The top-level packages, outside the standard library, that edgecompress/ imports anywhere."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "edgecompress").rglob("*.py")]
    names = {name.split(".")[0] for tree in trees for node in ast.walk(tree) for name in _names(node)}
    return names - sys.stdlib_module_names


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        yield node.module
