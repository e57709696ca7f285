"""Run the network of libmodel.so, which lies beside this file: `python3 example.py [INPUT_FILE …]`.

Each file holds one input as raw bytes (little-endian, the last axis innermost); inputs without a file are zeros.
Nothing but Python's standard library is needed.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from pathlib import Path

FORMATS = ("f", "b", "B", "h", "i", "q", "?")  # in the order of edgecompress_type


class Tensor(ctypes.Structure):
    """`edgecompress_tensor` of edgecompress.h."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("rank", ctypes.c_uint32),
        ("shape", ctypes.c_uint32 * 4),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
        ("bytes", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
    ]

    def describe(self) -> str:
        """Name, element format and shape."""
        shape = "x".join(str(extent) for extent in self.shape[: self.rank])
        return f"{self.name.decode()} ({FORMATS[self.type]} {shape})"

    def values(self) -> tuple[float, ...]:
        """The tensor's elements."""
        content = ctypes.string_at(self.data, self.bytes)
        return tuple(value for (value,) in struct.iter_unpack(FORMATS[self.type], content))


def load(path: Path) -> ctypes.CDLL:
    """Load the library and declare what its functions take."""
    library = ctypes.CDLL(str(path))
    for function in (library.edgecompress_input, library.edgecompress_output):
        function.argtypes = [ctypes.c_uint32, ctypes.POINTER(Tensor)]
        function.restype = ctypes.c_bool
    return library


def tensors(count: int, describe) -> list[Tensor]:
    """Ask for all inputs, or all outputs."""
    found = [Tensor() for _ in range(count)]
    for number, tensor in enumerate(found):
        describe(number, ctypes.byref(tensor))
    return found


def main(files: list[str]) -> None:
    """Write the inputs, run once, print the outputs."""
    library = load(Path(__file__).resolve().with_name("libmodel.so"))
    inputs = tensors(library.edgecompress_inputs(), library.edgecompress_input)
    for number, tensor in enumerate(inputs):
        content = Path(files[number]).read_bytes() if number < len(files) else bytes(tensor.bytes)
        if len(content) != tensor.bytes:
            sys.exit(f"input {tensor.describe()} takes {tensor.bytes} bytes; the file has {len(content)}")
        ctypes.memmove(tensor.data, content, tensor.bytes)
    library.edgecompress_run()
    for tensor in tensors(library.edgecompress_outputs(), library.edgecompress_output):
        print(tensor.describe(), *tensor.values())


if __name__ == "__main__":
    main(sys.argv[1:])
