"""Build networks for Linux boards and count the instructions of one inference, under qemu-user with a plugin.

The program is the one that a board would get when it is compiled for speed, as the others prepare their weights for it.
It is asked for one inference, then in another process for two: the difference is one inference, without start-up. One
thread.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.networks import export
from edgecompress import compile as compiler
from edgecompress import models
from edgecompress.compress import static_int8
from edgecompress.core import target as targets
from edgecompress.core import tools, wire
from edgecompress.core.errors import TransferError
from edgecompress.core.values import Context, Data, Model, Samples
from edgecompress.core.wire import Command, Frame

Precision = Literal["float32", "float16", "int8"]
"""float16: floats that are multiplied in half precision (--arithmetic half), on cores that have it."""

NETWORKS = ("resnet8", "vww", "mbv2", "resnet18", "tr")
"""As they are called in baselines/aarch64_peers.csv: MLPerf Tiny's image classifier and person detector, MobileNetV2
at 224 pixels, ResNet18 and a transformer encoder."""

TARGETS = {"cortex-a72": "rpi4", "cortex-a76": "rpi5", "cortex-a53": "rpi3", "cortex-a7": "rpi2"}
"""The cores, and the profiles that have them."""

EMULATORS = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}
PLUGIN_SOURCE = Path(__file__).parent / "total_instructions.c"
PLUGIN_FLAGS = ("-O2", "-shared", "-fPIC", "-std=c11")
TINY = Path(__file__).parents[1] / "examples" / "mlperf_tiny"
_TINY_FILES = {"resnet8": "ic_resnet8", "vww": "vww_mobilenetv1_025"}
_EXPORTED = {"mbv2": "mobilenet_v2", "resnet18": "resnet18", "tr": "transformer"}
_CALIBRATION_SAMPLES = 4
_TIMEOUT_S = 900.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One network in one precision on one core."""

    network: str
    precision: Precision
    core: str


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one inference of a case takes, and the size of its program in bytes."""

    case: Case
    macs: int
    instructions: int
    program_bytes: int
    weights_bytes: int
    arena_bytes: int


def build_plugin(folder: Path) -> Path:
    """Compile the emulator's plugin for this machine."""
    plugin = folder / "libtotal_instructions.so"
    tools.run(["gcc", *PLUGIN_FLAGS, "-o", plugin, PLUGIN_SOURCE], timeout_s=_TIMEOUT_S)
    return plugin


def count(case: Case, plugin: Path, folder: Path) -> Counted:
    """Build a case's program in a folder and count."""
    model = _load(case.network, case.precision, folder)
    target = targets.load(TARGETS[case.core]).computing_in("half" if case.precision == "float16" else None)
    bundle = compiler.build(model, target, folder / f"{case.network}-{case.precision}-{case.core}", optimize="speed")
    once, twice = (_run(bundle.program, case.core, target.machine or "", plugin, number, folder) for number in (1, 2))
    return Counted(
        case=case,
        macs=sum(layer.macs for layer in bundle.manifest.layers),
        instructions=twice - once,
        program_bytes=bundle.program.stat().st_size,
        weights_bytes=bundle.manifest.sizes.weights_bytes,
        arena_bytes=bundle.manifest.arena.bytes,
    )


def _load(network: str, precision: Precision, folder: Path) -> Model:
    """Load a network; those of benchmarks/networks are exported, and quantized with seeded noise."""
    if network in _TINY_FILES:
        return models.load(TINY / f"{_TINY_FILES[network]}_{'int8' if precision == 'int8' else 'fp32'}.onnx")
    path = folder / f"{_EXPORTED[network]}.onnx"
    if not path.exists():
        export.write(_EXPORTED[network], folder)
    model = models.load(path)
    if precision != "int8":
        return model
    generator = np.random.default_rng(0)
    noise = {
        spec.name: generator.standard_normal((_CALIBRATION_SAMPLES, *spec.shape[1:])).astype(np.float32)
        for spec in model.inputs
    }
    data = Data(calibration=Samples(inputs=noise), evaluation=Samples(inputs=noise), note="seeded noise")
    return static_int8.apply(model, {}, Context(data=data))


def _run(program: Path, core: str, machine: str, plugin: Path, inferences: int, folder: Path) -> int:
    """Ask the program for some inferences; return how many instructions it executed in all."""
    hello = Frame(command=Command.HELLO, sequence=1, payload=b"")
    run = Frame(command=Command.RUN, sequence=2, payload=struct.pack("<I", inferences))
    total = folder / "total"
    emulator: list[str | Path] = [
        EMULATORS[machine],
        "-cpu",
        core,
        "-plugin",
        plugin,
        "-d",
        "plugin",
        "-D",
        total,
        program,
    ]
    answers = tools.run(emulator, timeout_s=_TIMEOUT_S, stdin=wire.encode(hello) + wire.encode(run))
    ticks = wire.Reader().take(answers)[-1].payload
    if len(ticks) != inferences * wire.TICK_BYTES:
        raise TransferError(f"{program} was asked for {inferences} inferences and answered {ticks!r}")
    return int(total.read_text())
