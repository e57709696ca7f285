"""Layers in place: a C function that calls a kernel for one band of the image after the other.

It copies the rows that a band sees before the band's output is written, so the output may take the input's place. Any
family's kernel serves: it sees a small image that lies elsewhere than its output.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgecompress.compile import c_text
from edgecompress.compile.program import CKernel


@dataclass(frozen=True, kw_only=True)
class Bands:
    """How an image is cut for `kernel`.

    A band sees `rows` rows of `row_bytes` each and gives `output_bytes`; the next one begins `step` rows further down.
    The first begins `above` rows before the image, which has `image_rows`; rows beyond its edges hold one number.
    The image is input `image_at` of the kernel; a band sees `others_bytes` of every other input, or all of it (0).
    """

    kernel: str
    count: int
    rows: int
    step: int
    above: int
    image_rows: int
    row_bytes: int
    output_bytes: int
    image_at: int = 0
    others_bytes: int = 0

    @property
    def name(self) -> str:
        """The name of the function that goes through the bands, with all that it depends on."""
        place = f"_{self.image_at}" if self.others_bytes else ""
        return f"in_place{place}_{self.kernel}_x{self.count}_of_{self.image_rows}x{self.row_bytes}_from_{self.above}"

    @property
    def shared(self) -> int:
        """Rows that two neighbouring bands see."""
        return self.rows - self.step

    @property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that the function calls."""
        return (self.kernel,)

    def wrap(self, kernels: Mapping[str, CKernel]) -> CKernel:
        """Write the function. It takes what the kernel takes, then the number beyond the edges, then the workspaces."""
        return _wrap(self, kernels[self.kernel])


def _wrap(bands: Bands, kernel: CKernel) -> CKernel:
    parameters = c_text.parameters(kernel.source)
    names = c_text.names(kernel.source)
    buffers = sum("*" in each for each in parameters) - len(kernel.workspaces)
    image = names[bands.image_at]
    steps = [bands.others_bytes] * (buffers - 1) + [bands.output_bytes]
    arguments = [f"{name} + i * {step}u" if step else name for name, step in zip(names, steps, strict=False)]
    arguments[bands.image_at] = "band"
    arguments += names[buffers:]
    scalars_end = len(parameters) - len(kernel.workspaces)
    parameters[scalars_end:scalars_end] = ["int32_t beyond"]
    source = (
        f"{c_text.wrapped(f'KERNEL void {bands.name}(', [*parameters, 'int8_t *band'])}) {{\n"
        f"{_begin(bands, image)}"
        f"  for (uint32_t i = 0; i < {bands.count}u; ++i) {{\n"
        f"{_load(bands, image)}"
        f"    {kernel.name}({', '.join(arguments)});\n"
        f"{_move(bands)}"
        "  }\n}\n"
    )
    workspaces = (*kernel.workspaces, bands.rows * bands.row_bytes)
    return CKernel(name=bands.name, source=source, workspaces=workspaces, calls=(kernel.name,))


def _begin(bands: Bands, image: str) -> str:
    """Fill what lies above the image, and copy the rows that the first band shares with what would come before it."""
    above, copied = (rows * bands.row_bytes for rows in (bands.above, bands.shared - bands.above))
    lines = "" if above or _leaves_image(bands) else "  (void)beyond;\n"
    lines += f"  memset(band, beyond, {above}u);\n" if above else ""
    return lines + (f"  memcpy({_at('band', above)}, {image}, {copied}u);\n" if copied else "")


def _load(bands: Bands, image: str) -> str:
    """Bring in the rows that no band before has seen."""
    row, kept = bands.row_bytes, bands.shared * bands.row_bytes
    below = bands.shared - bands.above
    if not _leaves_image(bands):
        source = _at(image, below * row, f"i * {bands.step * row}u")
        return f"    memcpy({_at('band', kept)}, {source}, {bands.step * row}u);\n"
    return (
        f"    const uint32_t first = {_at(f'i * {bands.step}u', below)};\n"
        f"    const uint32_t left = first < {bands.image_rows}u ? {bands.image_rows}u - first : 0u;\n"
        f"    const uint32_t inside = left < {bands.step}u ? left : {bands.step}u;\n"
        f"    memcpy({_at('band', kept)}, {image} + first * {row}u, inside * {row}u);\n"
        f"    memset({_at('band', kept, f'inside * {row}u')}, beyond, ({bands.step}u - inside) * {row}u);\n"
    )


def _move(bands: Bands) -> str:
    """Keep the rows that the next band sees too."""
    if not bands.shared:
        return ""
    return f"    memmove(band, band + {bands.step * bands.row_bytes}u, {bands.shared * bands.row_bytes}u);\n"


def _leaves_image(bands: Bands) -> bool:
    return bands.count * bands.step + bands.shared - bands.above > bands.image_rows


def _at(base: str, *terms: str | int) -> str:
    """An address: the base plus the terms that are not 0."""
    return " + ".join([base, *(f"{term}u" if isinstance(term, int) else term for term in terms if term)])
