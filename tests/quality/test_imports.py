"""`edgecompress --help` stays quick because it imports little; this pins what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

HEAVY = (
    "altair",
    "jinja2",
    "onnx",
    "onnxruntime",
    "onnxslim",
    "scipy",
    "serial",
    "torch",
    "tvm",
    "tvm_ffi",
    "vl_convert",
)
STAGES = ("compile", "compress", "deploy", "measure", "models", "report")
HELP_LIMIT_S = 0.3

LIST_MODULES = """
import json, sys
try:
    from edgecompress.cli import main
    main(["--help"])
except SystemExit:
    pass
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def modules_after_help() -> list[str]:
    done = subprocess.run([sys.executable, "-c", LIST_MODULES], capture_output=True, text=True, check=True, timeout=60)
    assert "Usage:" in done.stdout
    modules: list[str] = json.loads(done.stderr.splitlines()[-1])
    return modules


@pytest.mark.parametrize("name", HEAVY)
def test_help_does_not_import_a_heavy_package(name: str, modules_after_help: list[str]) -> None:
    assert [module for module in modules_after_help if module.split(".")[0] == name] == []


def test_help_imports_no_module_of_a_stage(modules_after_help: list[str]) -> None:
    # The packages themselves (`edgecompress.compile`) may be imported: they are cheap. Their modules are not.
    leaves = [name for name in modules_after_help if name.startswith(tuple(f"edgecompress.{s}." for s in STAGES))]
    assert leaves == []


def test_help_takes_less_than_the_limit() -> None:
    seconds = min(_cpu_seconds_of_help() for _ in range(5))
    assert seconds < HELP_LIMIT_S


def _cpu_seconds_of_help() -> float:
    """CPU seconds, because a wall clock on a busy machine measures the others."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "edgecompress", "--help"], capture_output=True, check=True, timeout=60)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def test_compiling_does_not_import_torch_which_tvm_would() -> None:
    pytest.importorskip("torch")
    script = "import edgecompress.compile.graph, sys; assert 'tvm' in sys.modules; print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "False\n"
