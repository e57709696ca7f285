"""Cut the power in the middle of updates of model slots, and break the flash under them.

The device's own code (device_runtime/src/slots) runs on a simulated NOR flash (tests/runtime/nor.h); a host's side
(tests/runtime/slot_host.h) installs, confirms and reverts until it is done. After every cut and every fault the old or
the new network must start, whole; what the device said to be done must stay done; at the end the update must be done.
In half of the campaigns bits that a cut left between their states read differently every time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from benchmarks.campaign import _slot_images
from edgecompress.core import tools

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests" / "runtime"
SOURCES = ROOT / "device_runtime" / "src"
SLOTS = SOURCES / "slots"
SLOT_FILES = ("sha2", "sha256", "sha512", "field25519", "image", "marks", "state", "install")
TEST_FILES = ("flash_campaign", "slot_host", "nor", "remembered_verify")
FLAGS = ("-std=c11", "-g", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wvla", "-Werror")
SANITIZE = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
UNITS = (1, 4, 8, 16, 32)
SCENARIOS = 6
TIMEOUT_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A slot of whole sectors, and about how long the payloads are that go into it."""

    name: str
    sector_bytes: int
    slot_bytes: int
    payload_bytes: int


SMALL = Layout(name="small", sector_bytes=256, slot_bytes=1024, payload_bytes=530)
"""Header and payload in sectors of their own; the payload's end shares the sector of the marks."""

TINY = Layout(name="tiny", sector_bytes=512, slot_bytes=1024, payload_bytes=100)
"""Header and payload share a sector."""

LARGE = Layout(name="large", sector_bytes=4096, slot_bytes=65_536, payload_bytes=40_000)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """One call of the C program. `words` are its mode and numbers; a number of runs is one for each scenario."""

    title: str
    layout: Layout
    unit: int
    words: tuple[str, ...]
    unstable: bool = False


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What was seen. `most_erases` is how often one update erased the same sector at most."""

    runs: int = 0
    cuts: int = 0
    starts: int = 0
    violations: int = 0
    rule_breaks: int = 0
    detected: int = 0
    harmless: int = 0
    undetected: int = 0
    most_erases: int = 0

    def plus(self, other: Counts) -> Counts:
        """Add up two campaigns; the most erases of either."""
        sums = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(Counts)}
        return Counts(**{**sums, "most_erases": max(self.most_erases, other.most_erases)})

    @property
    def holds(self) -> bool:
        """True when nothing was violated."""
        return not (self.violations or self.rule_breaks or self.undetected) and self.most_erases <= 1


def long_form() -> Iterator[Campaign]:
    """Everything: ten minutes of CPU. With small write units pairs are many, and left out for unstable bits."""
    for unit in UNITS:
        for layout in (SMALL, TINY):
            yield from _both("every cut", layout, unit, "singles")
            yield from _both("five random cuts", layout, unit, "random", "5", "1000", "1")
            yield Campaign(title="wear", layout=layout, unit=unit, words=("wear",))
        yield Campaign(title="faults of the flash", layout=SMALL, unit=unit, words=("faults", "334", "1"))
        pairs = Campaign(title="every pair of cuts", layout=SMALL if unit >= 4 else TINY, unit=unit, words=("pairs",))
        yield pairs
        if unit >= 8:
            yield replace(pairs, unstable=True)
        yield Campaign(title="random pairs of cuts, large", layout=LARGE, unit=unit, words=("random", "2", "334", "1"))
    yield Campaign(title="every cut, large", layout=LARGE, unit=32, words=("singles",))
    yield Campaign(title="wear", layout=LARGE, unit=4, words=("wear",))


def short_form() -> Iterator[Campaign]:
    """A part that takes seconds, with sanitizers."""
    for unit in (4, 32):
        yield from _both("every cut", SMALL, unit, "singles")
    yield from _both("every cut", TINY, 8, "singles")
    yield from _both("every pair of cuts", TINY, 32, "pairs")
    yield from _both("five random cuts", SMALL, 16, "random", "5", "100", "1")
    yield Campaign(title="random pairs of cuts, large", layout=LARGE, unit=32, words=("random", "2", "3", "1"))
    yield Campaign(title="faults of the flash", layout=SMALL, unit=8, words=("faults", "100", "1"))
    yield Campaign(title="wear", layout=SMALL, unit=1, words=("wear",))


def _both(title: str, layout: Layout, unit: int, *words: str) -> Iterator[Campaign]:
    for unstable in (False, True):
        yield Campaign(title=title, layout=layout, unit=unit, words=words, unstable=unstable)


def build(folder: Path, flags: tuple[str, ...], slots: Path = SLOTS) -> Path:
    """Compile the campaign's program. The signature check is remembered: tests/runtime/remembered_verify.c."""
    includes = [f"-I{path}" for path in (ROOT / "device_runtime" / "include", SOURCES, slots, TESTS)]
    command = ["gcc", *FLAGS, *flags, *includes]
    verify, program = folder / "really_verify.o", folder / "flash_campaign"
    name = "-Dedgert_ed25519_verify=really_verify"
    tools.run([*command, name, "-c", slots / "ed25519.c", "-o", verify], timeout_s=TIMEOUT_S)
    sources = [slots / f"{name}.c" for name in SLOT_FILES] + [TESTS / f"{name}.c" for name in TEST_FILES]
    tools.run([*command, verify, *sources, "-o", program], timeout_s=TIMEOUT_S)
    return program


def run(program: Path, campaign: Campaign) -> Counts:
    """Run one campaign; its images lie beside the program."""
    layout = campaign.layout
    images = program.with_name(f"{layout.name}.images")
    if not images.exists():
        _slot_images.write(images, layout.slot_bytes, layout.payload_bytes)
    stability = "UNSTABLE" if campaign.unstable else "STABLE"
    numbers = (layout.sector_bytes, layout.slot_bytes, campaign.unit)
    output = tools.run([program, images, *map(str, numbers), stability, *campaign.words], timeout_s=TIMEOUT_S)
    told = dict(line.split() for line in output.decode().splitlines())
    return Counts(**{field.name: int(told[field.name]) for field in fields(Counts)})


def run_all(campaigns: Iterator[Campaign], flags: tuple[str, ...]) -> dict[str, Counts]:
    """Run campaigns one after the other; add up those of the same title and kind of bits."""
    totals: dict[str, Counts] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder), flags)
        for campaign in campaigns:
            title = f"{campaign.title}{', unstable bits' if campaign.unstable else ''}"
            counts = run(program, campaign)
            print(
                f"{title}, {campaign.layout.name} slots, write unit {campaign.unit}: {counts.runs:,}", file=sys.stderr
            )
            totals[title] = totals.get(title, Counts()).plus(counts)
    return totals


def main(words: list[str]) -> int:
    """Run the campaign and print its figures; return 1 under --check when something was violated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign flash", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the part that CI runs, in seconds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 when anything was violated")
    options = parser.parse_args(words)
    campaigns, flags = (short_form(), SANITIZE) if options.short else (long_form(), ("-O2",))
    totals = run_all(campaigns, flags)
    if options.json:
        print(json.dumps({title: asdict(counts) for title, counts in totals.items()}, indent=2))
    else:
        print(_table(totals))
    return 1 if options.check and not all(counts.holds for counts in totals.values()) else 0


def _table(totals: dict[str, Counts]) -> str:
    head = ("campaign", *(field.name.replace("_", " ") for field in fields(Counts)))
    rows = [head, tuple("---" for _ in head)]
    rows += [(title, *(f"{value:,}" for value in asdict(counts).values())) for title, counts in totals.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
