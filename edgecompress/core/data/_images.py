"""Samples from a folder of images: one folder a class, PNG or JPEG, read by Pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecompress.core.data._raw import BYTES_LIMIT, Raw
from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Array, TensorSpec

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg")
MODES = {1: "L", 3: "RGB"}
"""Pillow's name of an image with so many channels."""
DEEP = 257
"""65,535 / 255: from 16 bits to 8."""
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What images the network wants: their size in pixels, channels, and whether channels come first."""

    height: int
    width: int
    channels: int
    channels_first: bool


def read(folder: Path, source: DataSource, inputs: tuple[TensorSpec, ...]) -> Raw:
    """Read every image, resized to the network's input and scaled: (pixel * scale - mean) / std.

    Classes are the folders' names in alphabetical order, unless the recipe lists them. Images come in the order of
    their names, one of each class in turn, so that the first n samples hold every class. A quantized input gets
    integers of its scale. Raises ConfigError that names every image that cannot be read.
    """
    layout = _layout(inputs, folder)
    spec = inputs[0]
    files, labels = _listed(folder, source)
    if len(files) * spec.byte_size > BYTES_LIMIT:
        raise ConfigError(
            f"{folder}: {len(files):,} images take {len(files) * spec.byte_size:,} bytes; {BYTES_LIMIT:,} are allowed",
            hint="keep fewer images there, or bring them by a function",
        )
    means, deviations = (_for_each_channel(getattr(source, key), layout, key, folder) for key in ("mean", "std"))
    broken: list[str] = []
    samples = np.empty((len(files), *spec.shape[1:]), dtype=spec.dtype)
    for place, file in enumerate(files):
        try:
            pixels = _pixels(file, layout)
        except _unreadable() as error:
            broken.append(f"{file.relative_to(folder)} ({_first_line(error)})")
            continue
        values = (pixels * source.scale - means) / deviations
        values = values.transpose(2, 0, 1) if layout.channels_first else values
        samples[place] = _as_type(values, spec)
    if broken:
        more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        raise ConfigError(
            f"{folder}: {len(broken)} of {len(files)} images cannot be read: {', '.join(broken[:SHOWN])}{more}",
            hint="mend or delete them",
        )
    return Raw(inputs={spec.name: samples}, labels=np.array(labels, dtype=np.int64))


def _layout(inputs: tuple[TensorSpec, ...], folder: Path) -> Layout:
    """Read from the only input's shape where its channels are."""
    if len(inputs) != 1:
        raise ConfigError(
            f"{folder}: a folder of images serves one input; the network has {len(inputs)}",
            hint="bring the samples by a function",
        )
    shape = inputs[0].shape
    if len(shape) == 4 and shape[1] in MODES:
        return Layout(channels=shape[1], height=shape[2], width=shape[3], channels_first=True)
    if len(shape) == 4 and shape[3] in MODES:
        return Layout(channels=shape[3], height=shape[1], width=shape[2], channels_first=False)
    raise ConfigError(
        f"{folder}: images have 1 or 3 channels; the input {inputs[0].name!r} has the shape {shape}",
        hint="bring the samples by a function",
    )


def _listed(folder: Path, source: DataSource) -> tuple[list[Path], list[int]]:
    """Return the images, one of each class in turn, and their classes."""
    if not folder.is_dir():
        raise ConfigError(f"image folder {folder} does not exist")
    there = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    classes = list(source.classes) or there
    if sorted(classes) != there:
        raise ConfigError(
            f"{folder} has the folders {', '.join(there) or 'none'}; `classes` lists {', '.join(classes)}",
            hint="list every folder once, in the order of the network's output",
        )
    if not classes:
        raise ConfigError(f"{folder} holds no folders", hint="one folder a class, with PNG or JPEG files in it")
    by_class = [
        sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in SUFFIXES) for name in classes
    ]
    for name, files in zip(classes, by_class, strict=True):
        if not files:
            raise ConfigError(f"{folder / name} holds no images", hint=f"known: {', '.join(SUFFIXES)}")
    turns = zip_longest(*by_class)
    mixed = [(file, label) for turn in turns for label, file in enumerate(turn) if file is not None]
    return [file for file, _ in mixed], [label for _, label in mixed]


def _for_each_channel(given: float | tuple[float, ...], layout: Layout, key: str, folder: Path) -> Array:
    values = np.atleast_1d(np.array(given, dtype=np.float64))
    if len(values) not in (1, layout.channels):
        raise ConfigError(
            f"{folder}: `{key}` has {len(values)} numbers; the network's images have {layout.channels} channels",
            hint="give one number, or one for each channel",
        )
    return values


def _pixels(file: Path, layout: Layout) -> Array:
    """Return the image's pixels, (height, width, channels), from 0 to 255."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(file) as opened:
            image = _eight_bits(opened).convert(MODES[layout.channels])
    size = (layout.width, layout.height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float64).reshape(layout.height, layout.width, layout.channels)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow would cut 16 bits off at 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) / DEEP).round().clip(0, 255).astype(np.uint8))


def _as_type(values: Array, spec: TensorSpec) -> Array:
    if spec.dtype == "float32":
        return values.astype(np.float32)
    if spec.scale is None:
        return values.round().clip(*_bounds(spec)).astype(spec.dtype)
    quantized = (values / spec.scale).round() + (spec.zero_point or 0)
    return quantized.clip(*_bounds(spec)).astype(spec.dtype)


def _bounds(spec: TensorSpec) -> tuple[int, int]:
    numbers = np.iinfo(np.dtype(spec.dtype))
    return int(numbers.min), int(numbers.max)


def _unreadable() -> tuple[type[Exception], ...]:
    """What Pillow raises on a damaged file, or on one whose pixels would fill the memory."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    return (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error, zlib.error, *bombs)


def _first_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.partition(" '/")[0][:80] or type(error).__name__
