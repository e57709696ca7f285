"""The import rules of pyproject.toml leave no module out. `lint-imports` then checks the imports."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_rule_covers_every_module_but_the_allowed_ones() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
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
    forbidding = {c["name"]: set(c["source_modules"]) for c in settings if c["type"] == "forbidden"}
    assert forbidding == {name: everything - exceptions for name, exceptions in allowed.items()}
