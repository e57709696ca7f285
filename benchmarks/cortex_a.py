"""Count the instructions of networks on Cortex-A cores, beside ONNX Runtime, LiteRT and ncnn.

    python benchmarks/cortex_a.py                       five networks, float and int8, on four cores
    python benchmarks/cortex_a.py --quick               float ResNet8 and MobileNetV2 on a Cortex-A72
    python benchmarks/cortex_a.py --cores cortex-a76 --precisions int8
    python benchmarks/cortex_a.py --cores cortex-a76 --precisions float32 float16     what half precision saves
    python benchmarks/cortex_a.py --check               exit 1 when a required bar is missed; goals are named only
    python benchmarks/cortex_a.py --json                all figures on stdout
    python benchmarks/cortex_a.py --host                times on this x86-64 machine beside those three and OpenVINO
    python benchmarks/cortex_a.py --host --networks resnet18 --precisions float32 --threads 1 2

Executed instructions of one inference with one thread, under qemu-user, compiled with --optimize speed.
baselines/README.md says how the others were counted; there are counts of them for Cortex-A72 and A76. Instructions are
not time.

--host measures time. It installs the others into a virtual environment in the user's cache (under 1 GB), or takes the
Python of --peers-python.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import cortex_a_bars as bars
from benchmarks import cortex_a_counts as counts
from benchmarks import cortex_a_host as host
from benchmarks.cortex_a_counts import NETWORKS, TARGETS, Case, Counted

PRECISIONS = ("float32", "int8")
MORE_PRECISIONS = ("float16",)
QUICK = tuple(Case(network=network, precision="float32", core="cortex-a72") for network in ("resnet8", "mbv2"))
WIDTH_OF_A_FILE = 140


def main() -> int:
    """Count, print, and say which bars were missed."""
    arguments = _parse(sys.argv[1:])
    progress = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.host:
            return _time_on_host(arguments, folder.resolve(), progress)
        counted = _count(_cases(arguments), folder, progress)
    held = bars.hold(counted)
    if arguments.json:
        print(json.dumps(as_json(counted)))
    else:
        _print(counted)
    missed = [each for each in held if each.is_missed]
    for each in missed:
        progress.print(f"missed: {each}", soft_wrap=True)
    return 1 if arguments.check and any(each.kind == "required" for each in missed) else 0


def _time_on_host(arguments: argparse.Namespace, folder: Path, progress: Console) -> int:
    cases = [
        host.HostCase(network=network, precision=precision, threads=threads)
        for network in arguments.networks
        for precision in arguments.precisions
        for threads in arguments.threads
    ]
    timed = host.measure(cases, folder, arguments.peers_python, progress)
    if arguments.json:
        print(json.dumps(host.as_json(timed)))
    is_held = host.report(timed, progress if arguments.json else _console(), progress=progress)
    return 1 if arguments.check and not is_held else 0


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, highlight=False)


def as_json(counted: list[Counted]) -> dict[str, object]:
    """All figures, each with what the others take, and the bars."""
    peers = bars.read_peers()
    return {
        "figures": [
            {
                **asdict(each),
                "peers": {name: peer.instructions for name, peer in bars.best_of(each.case, peers).items()},
            }
            for each in counted
        ],
        "bars": [{**asdict(each), "missed": each.is_missed} for each in bars.hold(counted)],
    }


def _count(cases: list[Case], folder: Path, progress: Console) -> list[Counted]:
    plugin = counts.build_plugin(folder)
    counted = []
    for case in cases:
        progress.print(f"{case.network} {case.precision} on {case.core} ...")
        counted.append(counts.count(case, plugin, folder))
    return counted


def _cases(arguments: argparse.Namespace) -> list[Case]:
    if arguments.quick:
        return [case for case in QUICK if case.network in arguments.networks]
    return [
        Case(network=network, precision=precision, core=core)
        for network in arguments.networks
        for precision in arguments.precisions
        for core in arguments.cores
    ]


def _print(counted: list[Counted]) -> None:
    peers = bars.read_peers()
    table = Table(box=None, title="Million instructions an inference, one thread; x: ours over theirs")
    for name in ("network", "precision", "core", "ours", "a MAC", *(f"x {name}" for name in bars.RUNTIMES), "bars"):
        table.add_column(name, justify="right" if name not in ("network", "precision", "core", "bars") else "left")
    for each in counted:
        best = bars.best_of(each.case, peers)
        ratios = [
            f"{each.instructions / best[name].instructions:.2f}" if name in best else "" for name in bars.RUNTIMES
        ]
        verdicts = ", ".join(held.verdict for held in bars.hold([each]))
        figures = [f"{each.instructions / 1e6:.2f}", f"{each.instructions / each.macs:.3f}", *ratios]
        table.add_row(each.case.network, each.case.precision, each.case.core, *figures, verdicts)
    _console().print(table)


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="float ResNet8 and MobileNetV2 on a Cortex-A72")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS, help="which networks")
    parser.add_argument("--precisions", nargs="+", default=PRECISIONS, choices=(*PRECISIONS, *MORE_PRECISIONS))
    parser.add_argument("--cores", nargs="+", default=tuple(TARGETS), choices=tuple(TARGETS), help="which cores")
    parser.add_argument("--host", action="store_true", help="time on this machine instead, beside four other runtimes")
    parser.add_argument("--threads", type=int, nargs="+", default=host.THREADS, help="with --host: how many, e.g. 1 2")
    parser.add_argument("--peers-python", type=Path, help="with --host: a Python that has the other runtimes")
    parser.add_argument("--folder", type=Path, help="keep what is built here")
    parser.add_argument("--check", action="store_true", help="exit 1 when a required bar is missed")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
