"""Cut the power of a whole firmware in QEMU while it is given another network (B3 of docs/reliability.md).

The board's flash lies in a file: killing QEMU is a power cut. The moments lie anywhere within an update, from greeting
the board to the confirmation. After every cut the board is switched on twice: the old or the new network must serve and
reproduce its test vectors byte for byte, and the second time it must be a confirmed one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from edgecompress.core import target as targets
from edgecompress.core.bundle import Bundle
from edgecompress.core.device import Device
from edgecompress.core.errors import EdgecompressError, UnreachableError
from edgecompress.core.values import Progress
from edgecompress.core.wire import SlotState
from edgecompress.deploy import _slot_update
from edgecompress.deploy._child import Child
from edgecompress.deploy._kept_board import KeptBoard
from edgecompress.deploy.qemu import KeptQemuLink
from tests.support import slot_boards
from tests.support.slot_boards import SlotRuns

CUTS = 1000
SHORT = 5
NETWORKS = 3
WIDTH = 8
LATER = 1.1
"""A moment lies within so many times the last update that was done."""

FIRST_S = 1.0


class CutLink(KeptQemuLink):
    """A kept board that can be killed."""

    child: Child | None = None

    def join(self, progress: Progress) -> Child:
        """Switch the board on."""
        self.child = super().join(progress)  # type: ignore[assignment]
        assert self.child is not None
        return self.child


def run(runs: SlotRuns, folder: Path, cuts: int, seed: int) -> Counter[str]:
    """Update until so many updates were cut; count what served afterwards, and what was violated."""
    with slot_boards.board(folder) as device:
        device.install(runs.all[0].bundle())
    draw = random.Random(seed)
    serving, _ = slot_boards.serve(folder, runs)
    seen: Counter[str] = Counter()
    lasted_s = FIRST_S
    while seen["cuts"] < cuts:
        wanted = draw.choice([each for each in runs.all if each.bundle().manifest.build_id != serving])
        begin = time.monotonic()
        if _update(runs, folder, wanted.bundle(), draw.uniform(0, LATER * lasted_s)):
            seen["cuts"] += 1
        else:
            lasted_s = time.monotonic() - begin
        try:
            first, state = slot_boards.serve(folder, runs)
            serving, settled = slot_boards.serve(folder, runs)
        except EdgecompressError as error:
            seen[f"violation: {error.message}"] += 1
            break
        seen[f"{'new' if first == wanted.bundle().manifest.build_id else 'old'} serves"] += 1
        seen[f"first start: {state.name if state is not None else 'firmware'}"] += 1
        seen["violation: not confirmed"] += settled not in (None, SlotState.CONFIRMED)
    return seen


def _update(runs: SlotRuns, folder: Path, bundle: Bundle, seconds: float) -> bool:
    """Install a network and kill the board after so many seconds; True when that came before the end."""
    target = targets.load(slot_boards.TARGET)
    assert target.emulator is not None
    assert target.emulator.kept_memory is not None
    link = CutLink(target.emulator, (), KeptBoard(folder, target, target.emulator.kept_memory))
    with Device(link, target) as device:
        device.join()
        assert link.child is not None
        cut = threading.Timer(seconds, os.kill, (link.child.pid, signal.SIGKILL))
        cut.start()
        try:
            _slot_update.install(device, bundle, runs.signer)
        except UnreachableError:
            return True
        finally:
            cut.cancel()
            cut.join()
    return False


def main(words: list[str]) -> int:
    """Run the campaign and print its figures; return 1 under --check when something was violated."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign power", description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT} cuts")
    parser.add_argument("--cuts", type=int, default=CUTS, help=f"how many cuts; {CUTS} take about half an hour")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other moments")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit with 1 when anything was violated")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        runs = slot_boards.make_runs(Path(folder), NETWORKS, width=WIDTH)
        seen = +run(runs, Path(folder) / "board", SHORT if options.short else options.cuts, options.seed)
    if options.json:
        print(json.dumps(seen, indent=2))
    else:
        print("\n".join(f"| {name} | {count:,} |" for name, count in sorted(seen.items())))
    return 1 if options.check and any(name.startswith("violation") for name in seen) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
