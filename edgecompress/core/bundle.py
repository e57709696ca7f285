"""A bundle: the folder that `compile` writes and that `deploy` and `measure` read.

manifest.json     this module's Manifest
src/              generated C: model.h, model.c (kernels and model_run), network.c (the runtime's view), weights.h with
                  weights.c, or for Linux weights.s, which takes in weights.bin, and room.s for host/reference
runtime/          the sources of device_runtime that it was built with: the bundle can be built again from what it holds
firmware.elf      for a bare target; `program` for a hosted one: the network linked with device_runtime
lib/              for Linux: libmodel.a and libmodel.so for a program of one's own, edgecompress.h, example.py
slots/            for a firmware with slots: the network alone, linked for each slot (a.bin, b.bin), with its ELF files
host/reference    the same C built for this machine: reads inputs on stdin, writes outputs on stdout;
                  for Linux it reads src/weights.bin when it starts
vectors/          one inputs_NAME.npy and outputs_NAME.npy a tensor, shape (n, *spec.shape[1:])
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from edgecompress.core import files, tools
from edgecompress.core.errors import ConfigError, ToolFailedError
from edgecompress.core.slot_image import SlotImages
from edgecompress.core.values import AppliedStep, Array, FileValue, Optimize, TensorSpec, first_problem

MANIFEST_VERSION = 1
REFERENCE_TIMEOUT_S = 300.0


class Inside(FileValue):
    """Where an image lies inside a border in memory: `rows` of `row_bytes`, `step` bytes apart from `first` on."""

    first: int
    step: int
    rows: int
    row_bytes: int


class OnnxValue(FileValue):
    """An int8 tensor of the arena that holds a quantized value of the ONNX graph.

    The tensor is the value `name`, viewed as `shape` and transposed by `axes`; less 128 where the value is uint8.
    `kept` has a 1 or 0 for every channel (innermost in memory) where the program leaves some out: the zeros. `inside`
    says where the tensor's rows lie in memory when there is a border around them.
    """

    tensor: str
    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    kept: str | None = None
    inside: Inside | None = None


class Layer(FileValue):
    """One call in the program, in order of execution.

    `onnx_output` is None in a float network, and where the ONNX graph has no value for what the layer makes.
    """

    index: int
    name: str
    op: str
    kernel: str
    onnx_nodes: tuple[str, ...]
    macs: int
    weight_bytes: int
    code_bytes: int
    output_shape: tuple[int, ...]
    onnx_output: OnnxValue | None = None


class Placement(FileValue):
    """One tensor or workspace in the arena, live from layer `first` to layer `last`, both included."""

    name: str
    offset: int
    bytes: int
    first: int
    last: int


class Arena(FileValue):
    """The planned arena. `bound` is the largest sum of live bytes at any layer: no plan can be smaller."""

    bytes: int
    bound: int
    peak_layer: int
    placements: tuple[Placement, ...]


class Sizes(FileValue):
    """Bytes of the linked program.

    `flash_bytes` and `static_ram_bytes` are what the network adds to the same firmware with an empty network;
    `sections` are the whole program's sections.
    """

    flash_bytes: int
    static_ram_bytes: int
    firmware_flash_bytes: int
    firmware_static_ram_bytes: int
    weights_bytes: int
    code_bytes: int
    sections: dict[str, int]


class Vectors(FileValue):
    """Test vectors: inputs, and the outputs of the host program on them."""

    count: int
    origin: Literal["data", "seeded"]
    seed: int | None = None


class ModeBounds(FileValue):
    """What a network takes when it is compiled in a mode: its weights and arena exactly, its code at most."""

    optimize: Optimize
    weights_bytes: int
    code_bytes: int
    arena_bytes: int


WINOGRAD = "winograd"
"""The operators of layers that Winograd's filters compute begin with it: `winograd4_conv2d` is by F(4, 3)."""


EARLY_EXIT, LATE_EXIT = "early_exit", "late_exit"
"""The operators of the two layers of an exit, of the same ONNX nodes. One copies what the exit gives, when it is sure,
and then what stands between the two is left out; the other copies what the rest of the network gives."""


HALF = "half_"
"""Those of layers that multiply in half precision: `half_conv2d`."""


class Manifest(FileValue):
    """What the bundle holds and where it came from.

    `modes` says what this mode and the others take; there are none where memory is not scarce.
    `slots` are images for the slots of a firmware, where there are some.
    `keeps_inputs` is False when an inference may write over the inputs: they must be written before every one.
    """

    version: int = MANIFEST_VERSION
    name: str
    build_id: str
    target: str
    port: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    steps: tuple[AppliedStep, ...]
    model_sha256: str
    optimize: Optimize = "balanced"
    modes: tuple[ModeBounds, ...] = ()
    keeps_inputs: bool = True
    layers: tuple[Layer, ...]
    arena: Arena
    sizes: Sizes
    vectors: Vectors
    slots: SlotImages | None = None
    program: str
    files: dict[str, str]
    tools: dict[str, str]

    @property
    def stated_relative_error(self) -> float:
        """How near float outputs are to ONNX Runtime's, by the largest magnitude.

        Winograd convolutions and products of halves lose some.
        """
        return 1e-3 if any(layer.op.startswith((WINOGRAD, HALF)) for layer in self.layers) else 1e-5


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A manifest and the folder it describes."""

    folder: Path
    manifest: Manifest

    @property
    def program(self) -> Path:
        """The firmware or executable that goes onto the device."""
        return self.folder / self.manifest.program

    def changed_files(self) -> tuple[str, ...]:
        """The files that are gone, or no longer what was compiled by the manifest's hashes."""
        return tuple(name for name, digest in self.manifest.files.items() if _sha256(self.folder / name) != digest)

    def check_whole(self) -> None:
        """Raise ConfigError when a file is gone or no longer what was compiled."""
        changed = self.changed_files()
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            raise ConfigError(
                f"{self.folder / changed[0]}{more} changed since the bundle was compiled",
                hint="run `edgecompress compile` again: it replaces the bundle",
            )

    def vectors(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """Read the test vectors: inputs by name, expected outputs by name, each (n, *spec.shape[1:])."""
        read = {
            kind: {
                spec.name: np.load(self.folder / "vectors" / f"{kind}_{i}.npy", allow_pickle=False)
                for i, spec in enumerate(specs)
            }
            for kind, specs in (("inputs", self.manifest.inputs), ("outputs", self.manifest.outputs))
        }
        return read["inputs"], read["outputs"]

    def run_on_host(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Run the bundle's host program: the reference that every device must reproduce byte for byte."""
        return run_host_program(self.folder / "host" / "reference", self.manifest.inputs, self.manifest.outputs, inputs)

    def run_layer_on_host(self, layer: int, arenas: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Run one layer of the host program: from what the arena holds before it to what it holds after, (n, bytes)."""
        command: list[str | Path] = [self.folder / "host" / "reference", "--layer", str(layer)]
        raw = tools.run(command, timeout_s=REFERENCE_TIMEOUT_S, stdin=arenas.tobytes())
        if len(raw) != arenas.size:
            raise ToolFailedError(f"{command[0]} wrote {len(raw):,} bytes; {len(arenas)} arenas take {arenas.size:,}")
        return np.frombuffer(raw, np.uint8).reshape(arenas.shape).copy()


def run_host_program(
    program: Path,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    values: dict[str, Array],
    among: tools.Running | None = None,
) -> dict[str, Array]:
    """Feed n samples to a host program and read n outputs: raw little-endian tensors, sample after sample."""
    count = len(values[inputs[0].name])
    columns = [np.ascontiguousarray(values[s.name], dtype=s.dtype).reshape(count, -1).view(np.uint8) for s in inputs]
    samples = np.concatenate(columns, axis=1).tobytes()
    raw = tools.run([program], timeout_s=REFERENCE_TIMEOUT_S, stdin=samples, among=among)
    width = sum(spec.byte_size for spec in outputs)
    if len(raw) != count * width:
        raise ToolFailedError(f"{program} wrote {len(raw):,} bytes; {count} outputs take {count * width:,}")
    table = np.frombuffer(raw, np.uint8).reshape(count, width)
    result: dict[str, Array] = {}
    start = 0
    for spec in outputs:
        part = np.ascontiguousarray(table[:, start : start + spec.byte_size])
        result[spec.name] = part.view(spec.dtype).reshape(count, *spec.shape[1:])
        start += spec.byte_size
    return result


def load(folder: Path) -> Bundle:
    """Read a bundle folder. Raises ConfigError when there is none or its manifest is wrong."""
    path = folder / "manifest.json"
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} holds no bundle", hint="run `edgecompress compile` first") from error
    except ValidationError as error:
        raise ConfigError(f"{path} is damaged: {first_problem(error)}", hint="compile again") from error
    return Bundle(folder=folder, manifest=manifest)


def _sha256(path: Path) -> str | None:
    return files.sha256(path) if path.is_file() else None
