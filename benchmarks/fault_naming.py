"""How long until a planted fault on an emulated board is named with its layer: at most 2 s (issue 7).

    python -m benchmarks.fault_naming [--json] [--check]

From starting the emulator to the error that names layer, function and line: the fault record, the reset, the new hello
and the lookup in the ELF file. Wall-clock time of QEMU on this machine, not of a board.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from edgecompress.core import plugins
from edgecompress.core import target as targets
from edgecompress.core.errors import UnreachableError
from tests.support.toy_bundles import ToyRuntime

LONGEST_S = 2.0
BOARDS = {
    "mps2-an385": 2_500_000,
    "mps2-an386": 2_500_000,
    "mps2-an500": 2_500_000,
    "mps2-an505": 3_277,
    "mps3-an547": 3_277,
}
"""Board -> ticks of its watchdog in a tenth of a second, which is waited for, too."""
FAULTS = {
    "call of nowhere": 1,
    "undefined instruction": 2,
    "read of nowhere": 3,
    "stack overflow": 4,
    "endless loop": 5,
}


def name_fault(runtime: ToyRuntime, board: str, fault: int, folder: Path) -> tuple[float, str]:
    """Plant a fault; return seconds until it is named, and how."""
    target = targets.load(board)
    flags = (f"-DEDGERT_WATCH_TICKS={BOARDS[board]}u",)
    bundle = runtime.build(target, folder, flags, {"TOY_FAULT": fault})
    started = time.monotonic()
    with plugins.find("deploy", target.link, where=board).connect(target) as device:
        try:
            device.install(bundle)
        except UnreachableError as error:
            return time.monotonic() - started, error.message
    return time.monotonic() - started, "no fault was noticed"


def main() -> None:
    """Print the time of every fault on every board."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit 1 when a fault is not named with its layer in time")
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        runtime = ToyRuntime(Path(scratch))
        for board in BOARDS:
            for name, fault in FAULTS.items():
                seconds, told = name_fault(runtime, board, fault, Path(scratch) / f"{board}-{fault}")
                rows.append({"board": board, "fault": name, "seconds": round(seconds, 3), "told": told})
                if not chosen.json:
                    print(f"{board:12} {name:22} {seconds:6.2f} s  {told}")
    if chosen.json:
        print(json.dumps({"faults": rows, "longest_s": LONGEST_S}))
    missed = [
        row
        for row in rows
        if float(str(row["seconds"])) > LONGEST_S or "in layer 1 (sum_quarters)" not in str(row["told"])
    ]
    for row in missed if chosen.check else ():
        print(f"missed: {row['fault']} on {row['board']}: {row['seconds']} s, at most {LONGEST_S:g}", file=sys.stderr)
    sys.exit(1 if chosen.check and missed else 0)


if __name__ == "__main__":
    main()
