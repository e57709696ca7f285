"""Keep TVM from importing torch: it takes two seconds of every compilation, and nothing here needs it.

Where torch is installed, tvm_ffi imports it first of all, to share tensors with it.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

_TORCH = "torch"
_IMPORTING_TORCH = ("tvm", "tvm_ffi")


def install() -> None:
    """From now on, import TVM without torch. What imports torch itself, before or after, gets it as ever."""
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _IMPORTING_TORCH:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        """Run the module; `import torch` fails in it, unless torch is there already."""
        if _TORCH in sys.modules:
            super().exec_module(module)
            return
        sys.modules[_TORCH] = None  # type: ignore[assignment]
        try:
            super().exec_module(module)
        finally:
            del sys.modules[_TORCH]
