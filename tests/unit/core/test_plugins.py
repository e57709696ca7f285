"""core/plugins: modules are found by name, and misspelt names are answered."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgecompress.core import plugins
from edgecompress.core.errors import ConfigError


def test_private_modules_are_no_plugins() -> None:
    assert plugins.names("models") == ("onnx_file", "tflite_file", "torch_file")
    assert "static_int8" in plugins.names("compress")


def test_a_plugin_is_its_module() -> None:
    assert plugins.find("models", "onnx_file", where="here").__name__ == "edgecompress.models.onnx_file"


def test_a_misspelt_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.find("compress", "static_int", where="wakeword.toml: step 1")

    assert caught.value.message == "wakeword.toml: step 1: no compress module is called 'static_int'"
    assert caught.value.hint == f"did you mean 'static_int8'? known: {', '.join(plugins.names('compress'))}"


@pytest.mark.parametrize("name", ["magic", "_ranges", "../core/errors", ""])
def test_other_names_are_answered_with_all_there_are(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plugins.find("models", name, where="here")

    assert caught.value.message == f"here: no models module is called {name!r}"
    assert caught.value.hint == "known: onnx_file, tflite_file, torch_file"


def test_listing_plugins_imports_none_of_them() -> None:
    script = (
        "import sys; from edgecompress.core import plugins; plugins.names('compress'); plugins.names('models');"
        "print([m for m in ('onnx', 'onnxruntime', 'tvm') if m in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b"[]\n"
