"""The README's tour does what the README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from edgecompress.compress import static_int8
from edgecompress.core import errors, target
from edgecompress.core.recipe import DataSource, Limits, Recipe, Step

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TIMEOUT_S = 240


@dataclass(frozen=True)
class Command:
    """A command of the tour and what it prints; `...` stands for any text."""

    words: str
    expected: str


def tour() -> list[Command]:
    """Read the commands of every console block, in order."""
    blocks = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    parts = [part.partition("\n") for block in blocks for part in block.split("$ ")[1:]]
    return [Command(words, expected.strip()) for words, _, expected in parts]


def section(title: str) -> str:
    """The text under a heading of the README."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def as_pattern(expected: str) -> str:
    """Make a regular expression: `...` is any text, a run of blanks any run of blanks."""
    return r".*".join(
        r"\s+".join(map(re.escape, part.split())) if part.strip() else "" for part in expected.split("...")
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to run the tour in: the examples are there, runs/ is new."""
    folder = tmp_path_factory.mktemp("tour")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.mark.parametrize("command", tour(), ids=lambda command: command.words)
def test_a_command_of_the_tour_prints_what_the_readme_shows(command: Command, checkout: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(
        command.words.split(), cwd=checkout, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(as_pattern(command.expected), done.stdout.strip(), flags=re.DOTALL), done.stdout


def test_the_tour_is_read_from_the_readme() -> None:
    assert len(tour()) >= 10
    assert tour()[0].words == "edgecompress targets list"


def test_the_readme_lists_every_exit_code() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), flags=re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert listed == {0} | {kind.exit_code for kind in kinds}


def test_the_readme_lists_every_target_with_its_core() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]+) \|", section("Targets"), flags=re.MULTILINE)
    listed = {name: core.lower().replace("m4f", "m4").replace("+", "plus") for name, core in rows}
    assert listed == {name: target.load(name).cpu for name in target.names()}


@pytest.mark.parametrize(
    ("prefix", "kind"),
    [("", Recipe), ("data.", DataSource), ("steps[].", Step), ("limits.", Limits), ("", static_int8.Options)],
    ids=["recipe", "data", "step", "limits", "static_int8"],
)
def test_the_readme_lists_every_key_of_a_recipe(prefix: str, kind: type[BaseModel]) -> None:
    listed = set(re.findall(r"^\| `([^` ]+)`", section("Recipe"), flags=re.MULTILINE))
    described_key_by_key = {"data", "steps", "limits", "shapes"}
    assert {prefix + key for key in kind.model_fields if key not in described_key_by_key} - listed == set()
