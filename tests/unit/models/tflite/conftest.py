"""How the tests of .tflite files load them or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_tflite import Load, Refusal

from edgecompress import models
from edgecompress.core.errors import ModelError
from edgecompress.core.values import Model


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write_and_load(raw: bytes, **options: Any) -> Model:
        path = tmp_path / "net.tflite"
        path.write_bytes(raw)
        return models.load(path, **options)

    return write_and_load


@pytest.fixture
def refusal(tmp_path: Path, load: Load) -> Refusal:
    """Load what must be refused; return the message without the file's path, and the hint."""

    def catch(raw: bytes, **options: Any) -> tuple[str, str]:
        with pytest.raises(ModelError) as caught:
            load(raw, **options)
        assert caught.value.exit_code == 4
        return caught.value.message.removeprefix(str(tmp_path / "net.tflite")), caught.value.hint or ""

    return catch
