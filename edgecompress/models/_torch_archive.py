"""What a .pt2 file may hold before torch reads it: torch.export.load would unpickle, and evaluate text, of any file.

A .pt2 is a zip archive of one folder: the graph as JSON, and tensors as bytes. torch's reader (2.13, export/pt2_archive
and _export/serde) also takes pickled tensors, pickled objects, compiled code, operators by any name inside of torch,
and sizes as Python expressions. None of these is needed for a network, and none passes here.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecompress.core.errors import ModelError
from edgecompress.models._model_bytes import FILE_BYTES_LIMIT
from edgecompress.models._torch_export import quiet

ENTRY = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/(serialization_id|version)|models/model\.json"
    r"|data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|data/sample_inputs/model\.pt"
)
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
GRAPH, SAMPLE_INPUTS = "models/model.json", "data/sample_inputs/model.pt"
OPERATOR = re.compile(r"torch\.ops\.aten\.\w+\.\w+|_operator\.[a-z]+")
SYMBOL = re.compile(r"Symbol\('[su]\d+'(, (integer|positive|nonnegative)=(True|False))*\)")
SIZE = re.compile(r"([\d\s+\-*/(),]|Max|Min|Mod|FloorDiv|Add|Mul)*")
EXPORT_AGAIN = "export the network with torch.export.export, and write it with torch.export.save"
DAMAGED = (zipfile.BadZipFile, OSError, EOFError, KeyError, ValueError, NotImplementedError, RuntimeError)
"""What zipfile, json and torch.load raise on a damaged or foreign archive."""


def checked(content: bytes, path: Path) -> bytes:
    """Give the archive anew, of the entries that were checked: no other reader of zip files can find more in it.

    Raises ModelError for an archive that is damaged, or that holds more than a graph and its tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = _entries(archive, path)
        for config in CONFIGS:
            _check_tensors(json.loads(entries[config]), path)
        graph = json.loads(entries[GRAPH])
    except DAMAGED as error:
        raise ModelError(f"{path} is not a .pt2 file, or is damaged: {error}", hint=EXPORT_AGAIN) from error
    _check_graph(graph, path)
    _check_pickle(entries[SAMPLE_INPUTS], path)
    # Python that torch would run to check the inputs' shapes; the ONNX graph's are checked instead.
    entries[GRAPH] = json.dumps(graph | {"guards_code": []}).encode()
    clean = io.BytesIO()
    with zipfile.ZipFile(clean, "w") as archive:
        for name, bytes_of_entry in entries.items():
            archive.writestr(f"archive/{name}", bytes_of_entry)
    return clean.getvalue()


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    """Read all entries, by what stands behind the folder that holds everything."""
    unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > FILE_BYTES_LIMIT:
        raise ModelError(f"{path} has {unpacked:,} bytes unpacked; a model may have {FILE_BYTES_LIMIT:,}")
    found: dict[str, bytes] = {}
    for name in archive.namelist():
        folder, _, inner = name.partition("/")
        if not folder or ENTRY.fullmatch(inner) is None or inner in found:
            raise ModelError(f"{path} holds {name[:100]!r}, which is no part of a network", hint=EXPORT_AGAIN)
        found[inner] = archive.read(name)
    return found


def _check_tensors(config: Any, path: Path) -> None:
    for name, entry in config["config"].items():
        if entry.get("use_pickle") is not False:
            raise ModelError(f"{path}: {name!r} is a pickled object, not a plain tensor", hint=EXPORT_AGAIN)


def _check_graph(graph: Any, path: Path) -> None:
    for key, value in _walked(graph):
        if key == "expr_str" and (SIZE.fullmatch(SYMBOL.sub("", str(value))) is None):
            raise ModelError(f"{path} computes a size by {str(value)[:100]!r}", hint="export it with static shapes")
        if isinstance(value, dict) and "target" in value and "inputs" in value:
            _check_operator(value["target"], path)


def _check_operator(target: Any, path: Path) -> None:
    if not isinstance(target, str) or OPERATOR.fullmatch(target) is None:
        raise ModelError(
            f"{path} calls {str(target)[:100]!r}; only operators torch.ops.aten can be read", hint=EXPORT_AGAIN
        )


def _walked(value: Any) -> Iterator[tuple[str, Any]]:
    """Give every entry of nested JSON with its key; those of a list with none."""
    waiting = [("", value)]
    while waiting:
        key, entry = waiting.pop()
        yield key, entry
        if isinstance(entry, dict):
            waiting.extend(entry.items())
        elif isinstance(entry, list):
            waiting.extend(("", each) for each in entry)


def _check_pickle(content: bytes, path: Path) -> None:
    """Let torch read the sample inputs as tensors and nothing else: it would try again without that limit."""
    import pickle

    import torch

    if not content:
        return
    try:
        with quiet():
            torch.load(io.BytesIO(content), weights_only=True)
    except (*DAMAGED, pickle.UnpicklingError, AttributeError, TypeError) as error:
        raise ModelError(f"{path}: its sample inputs are not plain tensors", hint=EXPORT_AGAIN) from error
