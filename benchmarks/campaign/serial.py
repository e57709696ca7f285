"""Damage the serial line between host and device in every way: the protocol must end right, or with a clear error.

Parsers by themselves (a million mutated frames, bit errors), transfers with one fault at every place (the runtime in a
process, a simulated clock), and whole sessions with QEMU on a faulty line in real time; see docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.campaign import _frames, _sessions, _transfers
from benchmarks.campaign._outcome import Outcome
from edgecompress.core import target as targets
from tests.support.toy_bundles import ToyRuntime


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything."""

    mutated: int
    flipped: int
    byte_step: int
    frame_step: int
    sessions: dict[float, int]


LONG = Size(
    mutated=1_000_000,
    flipped=100_000,
    byte_step=1,
    frame_step=1,
    sessions={1e-6: 1000, 1e-5: 10_000, 1e-4: 1000, 1e-3: 30},
)
SHORT = Size(mutated=20_000, flipped=2_000, byte_step=97, frame_step=9, sessions={1e-5: 30, 1e-4: 10})


def run_all(size: Size, folder: Path) -> Iterator[Outcome]:
    """Run the campaign, part by part."""
    parser = _frames.build_parser(folder)
    yield _frames.mutated(size.mutated, parser)
    yield from _frames.bit_errors(size.flipped, parser)
    runtime = ToyRuntime(folder)
    echo = runtime.build(targets.load("host"), folder / "echo", network="echo_network")
    yield from _transfers.every_byte(echo, size.byte_step)
    yield from _transfers.splits(echo)
    yield _transfers.stalls(echo, size.frame_step)
    yield _transfers.vanishing(echo, size.frame_step)
    yield from _transfers.garbage(echo)
    toy = runtime.build(targets.load("mps2-an386"), folder / "toy")
    for rate, count in size.sessions.items():
        yield _sessions.run(toy, count, rate)


def main(words: list[str]) -> int:
    """Run the campaign and print its figures; return 1 under --check when something was violated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign serial", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the part that CI runs, in seconds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 when anything was violated")
    options = parser.parse_args(words)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        for outcome in run_all(SHORT if options.short else LONG, Path(folder)):
            outcomes.append(outcome)
            if not options.json:
                print(f"| {outcome.name} | {outcome.cases:,} | {outcome.violations} | {outcome.detail} |", flush=True)
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    return 1 if options.check and any(outcome.violations for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
