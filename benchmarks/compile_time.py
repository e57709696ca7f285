"""How long a network takes to compile for a Linux board, and what its kernels add to the program.

    python benchmarks/compile_time.py                   ResNet18 and MobileNetV2 for rpi4, and ResNet8's growth
    python benchmarks/compile_time.py --networks resnet18 --precisions float32 --repeat 5
    python benchmarks/compile_time.py --check           exit 1 when a bar is missed
    python benchmarks/compile_time.py --json            all figures on stdout

The time is that of the command `edgecompress compile`, start of Python included: the least of its repeats. The bar
is for two cores with nothing else to do; the CPU seconds, its compilers' included, say whether they had. Growth is that
of the linked program over the same network with generic kernels.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.networks import load
from benchmarks.networks.load import NAMES, Precision
from edgecompress import compile as compiler
from edgecompress.core import target as targets
from edgecompress.models import onnx_file

NETWORKS = ("resnet18", "mobilenet_v2")
GROWN = "ic_resnet8"
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
LONGEST_S = {("resnet18", "float32"): 5.0}
MOST_GROWTH_BYTES = 60_000
GENERIC_MACHINE = "generic"
"""No family of kernels is for such a machine."""
CORES = 2
WIDTH_OF_A_FILE = 100


@dataclass(frozen=True, kw_only=True)
class Timed:
    """One network compiled several times; the shortest one."""

    network: str
    precision: Precision
    target: str
    wall_s: float
    cpu_s: float
    bundle_bytes: int

    @property
    def problem(self) -> str | None:
        """Which bar is missed, if one is."""
        longest = LONGEST_S.get((self.network, self.precision))
        if longest is None or self.wall_s <= longest:
            return None
        return f"{self.network} {self.precision} took {self.wall_s:.1f} s; at most {longest:g}"


@dataclass(frozen=True, kw_only=True)
class Grown:
    """The bytes of a program with the kernels chosen for its target, and with generic ones."""

    network: str
    precision: Precision
    target: str
    chosen_bytes: int
    generic_bytes: int

    @property
    def growth_bytes(self) -> int:
        """What the chosen kernels add."""
        return self.chosen_bytes - self.generic_bytes

    @property
    def problem(self) -> str | None:
        """Which bar is missed, if one is."""
        if self.growth_bytes <= MOST_GROWTH_BYTES:
            return None
        return f"{self.network} {self.precision} grows by {self.growth_bytes:,} bytes; at most {MOST_GROWTH_BYTES:,}"


def time_compilation(network: str, precision: Precision, target: str, repeat: int, folder: Path) -> Timed:
    """Compress a network once, then compile it anew each time."""
    source, run = folder / f"{network}_{precision}.onnx", folder / f"{network}_{precision}"
    onnx_file.save(load.load(network, precision, folder), source)
    _command("compress", source, "-o", run)
    times = []
    for number in range(repeat):
        (run / "bundle" / "manifest.json").unlink(missing_ok=True)
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        _command("compile", run, "--target", target)
        after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        times.append((end - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
        _say(f"{network} {precision}, {number + 1} of {repeat}: {times[-1][0]:.2f} s, {times[-1][1]:.2f} CPU seconds")
    wall_s, cpu_s = min(times)
    size = sum(path.stat().st_size for path in (run / "bundle").rglob("*") if path.is_file())
    return Timed(network=network, precision=precision, target=target, wall_s=wall_s, cpu_s=cpu_s, bundle_bytes=size)


def measure_growth(precision: Precision, name: str, folder: Path) -> Grown:
    """Compile ResNet8 with the target's kernels and with generic ones."""
    model, target = load.load(GROWN, precision, folder), targets.load(name)
    plain = target.model_copy(update={"features": (), "machine": GENERIC_MACHINE})
    sizes = [
        compiler.build(model, each, folder / f"{kind}_{precision}").manifest.sizes.firmware_flash_bytes
        for kind, each in (("chosen", target), ("generic", plain))
    ]
    return Grown(network=GROWN, precision=precision, target=name, chosen_bytes=sizes[0], generic_bytes=sizes[1])


def _command(*words: str | Path) -> None:
    command = [sys.executable, "-m", "edgecompress", *map(str, words)]
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")


def _say(text: str) -> None:
    Console(stderr=True).print(text)


def main() -> int:
    """Compile, print the tables, and say which bars are missed."""
    asked = _parse(sys.argv[1:])
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        folder = Path(scratch)
        timed = [
            time_compilation(network, precision, asked.target, asked.repeat, folder)
            for network in asked.networks
            for precision in asked.precisions
        ]
        grown = [measure_growth(precision, asked.target, folder) for precision in asked.precisions]
    if asked.json:
        growth = [asdict(each) | {"growth_bytes": each.growth_bytes} for each in grown]
        print(json.dumps({"cores": len(cores), "times": [asdict(each) for each in timed], "growth": growth}, indent=2))
    else:
        _print(timed, grown)
    figures: list[Timed | Grown] = [*timed, *grown]
    missed = [each.problem for each in figures if each.problem is not None]
    for problem in missed:
        _say(f"missed: {problem}")
    return 1 if asked.check and missed else 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=NETWORKS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--target", choices=targets.names(), default="rpi4", metavar="TARGET")
    parser.add_argument("--repeat", type=int, default=3, help="how often each is compiled")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    parser.add_argument("--json", action="store_true", help="all figures on stdout")
    return parser.parse_args(words)


def _print(timed: Sequence[Timed], grown: Sequence[Grown]) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE)
    times = Table("network", "precision", "target", "seconds", "CPU seconds", "bundle bytes")
    for one in timed:
        sizes = (f"{one.wall_s:.2f}", f"{one.cpu_s:.2f}", f"{one.bundle_bytes:,}")
        times.add_row(one.network, one.precision, one.target, *sizes)
    console.print(times)
    growth = Table("network", "precision", "target", "chosen kernels", "generic kernels", "growth")
    for each in grown:
        bytes_ = (f"{number:,}" for number in (each.chosen_bytes, each.generic_bytes, each.growth_bytes))
        growth.add_row(each.network, each.precision, each.target, *bytes_)
    console.print(growth)


if __name__ == "__main__":
    raise SystemExit(main())
