"""The lists in pyproject.toml leave nothing out: the import rules no module, pytest no folder of tests."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


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
