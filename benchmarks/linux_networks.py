"""Run networks on virtual Linux boards, and compare what they compute with this machine and with ONNX Runtime.

    python benchmarks/linux_networks.py                 eight networks, float and int8, on three boards
    python benchmarks/linux_networks.py --networks transformer --boards rpi2 --precisions int8
    python benchmarks/linux_networks.py --check         exit 1 and name every case that is off
    python benchmarks/linux_networks.py --json          all figures on stdout

The boards stand for aarch64 (rpi4), armv7 (rpi2) and x86-64. A program must give the bytes that the same C gives here;
float networks, compiled for speed, must lie as near to ONNX Runtime as their bundle states, within 1e-5 or, with
Winograd convolutions, 1e-3: the largest difference of an output's numbers, by the largest magnitude among them. About a
quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.networks import load
from benchmarks.networks.load import NAMES, Precision
from edgecompress import compile as compiler
from edgecompress import pipeline
from edgecompress.core import target as targets
from edgecompress.core.errors import EdgecompressError
from edgecompress.core.values import Array, Model

BOARDS = ("rpi4", "rpi2", "x86-64")
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
SAMPLES = dict.fromkeys(NAMES, 2) | {"resnet18": 1}
"""An emulated inference of ResNet18 takes half a minute."""
SEED = 7
WIDTH_OF_A_FILE = 100


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a board computed. `relative_error` is the largest difference from ONNX Runtime by the largest magnitude."""

    network: str
    precision: Precision
    board: str
    different_bytes: int | None = None
    relative_error: float | None = None
    stated_error: float = 0.0
    same_class: bool | None = None
    failure: str | None = None

    @property
    def problem(self) -> str | None:
        """What is off, if anything."""
        if self.failure is not None or self.different_bytes is None or self.relative_error is None:
            return self.failure
        if self.different_bytes:
            return f"{self.different_bytes:,} bytes differ from this machine's"
        if self.precision == "float32" and self.relative_error > self.stated_error:
            return f"{self.relative_error:.2g} from ONNX Runtime; at most {self.stated_error:g}"
        return None


def compare(network: str, precision: Precision, board: str, exports: Path) -> Compared:
    """Build a network for a board, run it there and compare; `exports` keeps the ONNX files of torch networks."""
    model = load.load(network, precision, exports)
    count = SAMPLES[network]
    samples = load.noise(model, count, SEED)
    chosen = targets.load(board)
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as scratch:
        bundle = compiler.build(model, chosen, Path(scratch) / "bundle", samples=samples, optimize="speed")
        inputs, wanted = bundle.vectors()
        with pipeline.connect(chosen, pipeline.DeviceChoice(address=f"loop://{board}")) as device:
            device.install(bundle)
            runs = [device.run({name: values[i] for name, values in inputs.items()}) for i in range(count)]
    found = {name: np.stack([run.outputs[name] for run in runs]).reshape(wanted[name].shape) for name in wanted}
    reference = _onnxruntime(model, samples.inputs)
    return Compared(
        network=network,
        precision=precision,
        board=board,
        different_bytes=sum(_different_bytes(found[name], wanted[name]) for name in wanted),
        relative_error=max(_relative_error(found[name], reference[name]) for name in wanted),
        stated_error=bundle.manifest.stated_relative_error,
        same_class=all(
            np.array_equal(*(each[name].reshape(count, -1).argmax(axis=1) for each in (found, reference)))
            for name in wanted
        ),
    )


def _onnxruntime(model: Model, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Run the samples as the ONNX specification defines the graph: without optimisations, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [spec.name for spec in model.outputs]
    count = len(next(iter(inputs.values())))
    answers = [session.run(names, {name: values[i : i + 1] for name, values in inputs.items()}) for i in range(count)]
    return {name: np.concatenate([answer[i] for answer in answers]) for i, name in enumerate(names)}


def _different_bytes(one: Array, other: Array) -> int:
    return int(np.count_nonzero(one.view(np.uint8) != other.view(np.uint8)))


def _relative_error(found: Array, reference: Array) -> float:
    difference = np.abs(found.reshape(-1).astype(np.float64) - reference.reshape(-1).astype(np.float64))
    return float(difference.max() / np.abs(reference.astype(np.float64)).max())


def _try(network: str, precision: Precision, board: str, exports: Path) -> Compared:
    """Compare; what does not even run is a problem of this case alone."""
    try:
        return compare(network, precision, board, exports)
    except EdgecompressError as error:
        return Compared(network=network, precision=precision, board=board, failure=error.message)


def main() -> int:
    """Run the cases, print the table, and say which are off."""
    asked = _parse(sys.argv[1:])
    progress = Console(stderr=True)
    found = []
    with tempfile.TemporaryDirectory(prefix="edgecompress-") as exports:
        for network in asked.networks:
            for precision in asked.precisions:
                for board in asked.boards:
                    found.append(_try(network, precision, board, Path(exports)))
                    progress.print(f"{network} {precision} on {board}: {found[-1].problem or 'right'}")
    if asked.json:
        print(json.dumps([asdict(each) for each in found], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE).print(_table(found))
    return 1 if asked.check and any(each.problem for each in found) else 0


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--boards", nargs="+", choices=[*BOARDS, *targets.names()], default=BOARDS, metavar="BOARD")
    parser.add_argument("--check", action="store_true", help="exit 1 and name every case that is off")
    parser.add_argument("--json", action="store_true", help="all figures on stdout")
    return parser.parse_args(words)


def _table(found: Sequence[Compared]) -> Table:
    table = Table("network", "precision", "board", "bytes that differ", "from ONNX Runtime", "same class")
    for each in found:
        table.add_row(
            each.network,
            each.precision,
            each.board,
            "-" if each.different_bytes is None else f"{each.different_bytes:,}",
            "-" if each.relative_error is None else f"{each.relative_error:.1e}",
            "-" if each.same_class is None else "yes" if each.same_class else "no",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
