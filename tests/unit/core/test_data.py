"""core/data: samples are read, checked against the network's inputs, and divided."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecompress.core import data
from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Data, TensorSpec

X = TensorSpec(name="x", shape=(1, 2, 3), dtype="float32")
Z = TensorSpec(name="z", shape=(1, 4), dtype="float32")
INT8 = TensorSpec(name="x", shape=(1, 2, 3), dtype="int8", scale=0.5, zero_point=-3)
SAMPLES = np.arange(36, dtype=np.float32).reshape(6, 2, 3)
LABELS = np.array([0, 1, 1, 0, 0, 1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "d.npz"


def load(file: Path, arrays: dict[str, Any], *specs: TensorSpec, **keys: Any) -> Data:
    """Write the arrays to `file` and load it for networks with these inputs (X when none is given)."""
    np.savez(file, **arrays)
    return data.load(DataSource(file=file, **keys), specs or (X,))


def refusal(file: Path, arrays: dict[str, Any], *specs: TensorSpec, **keys: Any) -> tuple[str, str | None]:
    """Return the message without the file's path, and the hint."""
    with pytest.raises(ConfigError) as caught:
        load(file, arrays, *specs, **keys)
    return caught.value.message.removeprefix(str(file)), caught.value.hint


def test_without_a_division_all_samples_do_both_and_the_note_says_so(file: Path) -> None:
    found = load(file, {"inputs": SAMPLES}, note="Noise.")

    assert found.calibration == found.evaluation
    assert found.calibration.count == 6
    assert found.calibration.labels is None
    assert found.note == "Noise. The samples that calibrate are also the ones scored."


def test_the_first_samples_of_every_class_calibrate_and_the_rest_is_scored(file: Path) -> None:
    found = load(file, {"inputs": SAMPLES, "y": LABELS}, labels="y", calibration_per_class=2, note="Noise.")

    assert np.array_equal(found.calibration.inputs["x"], SAMPLES[[0, 1, 2, 3]])
    assert np.array_equal(found.evaluation.inputs["x"], SAMPLES[[4, 5]])
    assert found.calibration.labels is not None
    assert found.calibration.labels.tolist() == [0, 1, 1, 0]
    assert found.evaluation.labels is not None
    assert found.evaluation.labels.dtype == np.int64
    assert found.note == "Noise."


def test_a_share_of_every_class_trains_the_same_one_each_time_and_the_rest_is_scored(file: Path) -> None:
    labels = np.array([0] * 10 + [1] * 20)
    samples = np.arange(180, dtype=np.float32).reshape(30, 2, 3)
    arrays = {"inputs": samples, "y": labels}

    found = load(file, arrays, labels="y", training_share=0.7, calibration_per_class=2)
    again = load(file, arrays, labels="y", training_share=0.7, calibration_per_class=2)

    assert found.training is not None
    assert again.training is not None
    assert np.array_equal(found.training.inputs["x"], again.training.inputs["x"])
    assert found.training.labels is not None
    assert np.bincount(found.training.labels).tolist() == [7, 14]
    assert found.evaluation.count == 9
    both = np.concatenate([found.training.inputs["x"], found.evaluation.inputs["x"]])
    assert np.array_equal(np.sort(both, axis=0), samples)
    assert found.calibration.count == 4
    assert np.isin(found.calibration.inputs["x"], found.training.inputs["x"]).all()


@pytest.mark.parametrize(("share", "purpose"), [(0.01, "train with"), (0.99, "score")])
def test_a_share_that_leaves_one_side_empty_is_refused(file: Path, share: float, purpose: str) -> None:
    message, hint = refusal(file, {"inputs": SAMPLES}, training_share=share)

    assert message == f": training_share = {share} of 6 samples leaves none to {purpose}"
    assert hint == "choose a share nearer to 0.5, or bring more samples"


def test_the_first_samples_calibrate_by_count(file: Path) -> None:
    found = load(file, {"inputs": SAMPLES}, calibration_count=2)

    assert np.array_equal(found.calibration.inputs["x"], SAMPLES[:2])
    assert np.array_equal(found.evaluation.inputs["x"], SAMPLES[2:])


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_float_types_are_converted(file: Path, kind: type) -> None:
    assert load(file, {"inputs": SAMPLES.astype(kind)}).evaluation.inputs["x"].dtype == np.float32


def test_several_inputs_are_arrays_of_their_own_names(file: Path) -> None:
    found = load(file, {"x": SAMPLES, "z": np.zeros((6, 4), np.float32)}, X, Z)

    assert {name: array.shape for name, array in found.evaluation.inputs.items()} == {"x": (6, 2, 3), "z": (6, 4)}


@pytest.mark.parametrize(
    ("arrays", "keys", "message", "hint"),
    [
        ({"a": SAMPLES, "b": SAMPLES}, {}, " holds no array 'inputs'", "it holds: a, b"),
        ({"inputs": SAMPLES}, {"labels": "y"}, " holds no array 'y'", "it holds: inputs"),
        (
            {"inputs": SAMPLES.reshape(6, 3, 2)},
            {},
            ": input 'x' has the shape (6, 3, 2); the network wants (n, 2, 3)",
            "samples come first; reshape the array, or choose another with `inputs`",
        ),
        (
            {"inputs": SAMPLES[0]},
            {},
            ": input 'x' has the shape (2, 3); the network wants (n, 2, 3)",
            "samples come first; reshape the array, or choose another with `inputs`",
        ),
        (
            {"inputs": SAMPLES.astype(np.uint8)},
            {},
            ": input 'x' is uint8; the network wants float32",
            "convert it and scale it as for training",
        ),
        (
            {"inputs": np.where(SAMPLES > 20, np.nan, SAMPLES)},
            {},
            ": input 'x' has NaN or infinity in 3 of 6 samples, first in sample 3",
            "clean the data",
        ),
        (
            {"inputs": SAMPLES, "y": LABELS[:5]},
            {"labels": "y"},
            ": the arrays have different numbers of samples: x 6, labels 5",
            "give every array one entry a sample",
        ),
        (
            {"inputs": SAMPLES, "y": LABELS + 0.5},
            {"labels": "y"},
            ": the labels are float64 of the shape (6); integers (n) are wanted",
            "give one class number a sample",
        ),
        (
            {"inputs": SAMPLES, "y": np.eye(6, dtype=np.int64)},
            {"labels": "y"},
            ": the labels are int64 of the shape (6, 6); integers (n) are wanted",
            "give one class number a sample",
        ),
        ({"inputs": SAMPLES[:0]}, {}, " holds no samples", "choose another array with `inputs`"),
        (
            {"inputs": SAMPLES},
            {"calibration_count": 6},
            ": all 6 samples calibrate, none is left to score",
            "calibrate with fewer",
        ),
        (
            {"inputs": SAMPLES},
            {"calibration_per_class": 1},
            ": calibration_per_class needs labels",
            "name them with `labels`, or use calibration_count",
        ),
        (
            {"inputs": SAMPLES, "y": np.array([0, 0, 0, 0, 0, 7])},
            {"labels": "y", "calibration_per_class": 2},
            ": class 7 has 1 samples; calibration_per_class = 2",
            "calibrate with fewer",
        ),
    ],
    ids=[
        *("no inputs", "no labels", "shape", "one sample", "type", "nan", "length", "float labels", "one-hot labels"),
        *("empty", "all calibrate", "class without labels", "small class"),
    ],
)
def test_data_that_does_not_fit_is_refused(
    file: Path, arrays: dict[str, Any], keys: dict[str, Any], message: str, hint: str
) -> None:
    assert refusal(file, arrays, **keys) == (message, hint)


def test_an_int8_network_wants_int8_and_the_hint_says_how(file: Path) -> None:
    assert refusal(file, {"inputs": SAMPLES}, INT8) == (
        ": input 'x' is float32; the network wants int8",
        "quantize it: round(x / 0.5) + -3, cut to int8",
    )
    assert load(file, {"inputs": SAMPLES.astype(np.int8)}, INT8).evaluation.count == 6


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        data.load(DataSource(file=tmp_path / "gone.npz"), (X,))

    assert caught.value.message == f"data file {tmp_path}/gone.npz does not exist"
    assert caught.value.exit_code == 3


def test_pickled_objects_are_never_loaded(file: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (file.parent / "pwned",)

    message, hint = refusal(file, {"inputs": np.array([Planted()], dtype=object)})

    assert message == " cannot be read: Object arrays cannot be loaded when allow_pickle=False"
    assert hint == "write it again with numpy.savez"
    assert not (file.parent / "pwned").exists()


def test_a_single_array_is_no_archive(file: Path) -> None:
    with file.open("wb") as out:
        np.save(out, SAMPLES)

    with pytest.raises(ConfigError) as caught:
        data.load(DataSource(file=file), (X,))

    assert caught.value.message == f"{file} is not an .npz archive"


def test_a_zip_bomb_is_refused_unpacked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecompress.core.data._npz.BYTES_LIMIT", 10_000)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs.npy", bytes(20_000))

    with pytest.raises(ConfigError) as caught:
        data.load(DataSource(file=file), (X,))

    assert caught.value.message == f"{file} has 20,000 bytes unpacked; 10,000 are allowed"


def test_a_header_that_asks_for_terabytes_is_refused(file: Path) -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999, 999), }".ljust(117) + "\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inputs.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())

    with pytest.raises(ConfigError) as caught:
        data.load(DataSource(file=file), (X,))

    assert caught.value.message.startswith(f"{file} cannot be read: ")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4), cut=st.integers(0, 700))
def test_a_damaged_archive_is_data_or_a_config_error_and_nothing_else(
    file: Path, changes: list[tuple[int, int]], cut: int
) -> None:
    np.savez(file, inputs=SAMPLES)
    damaged = bytearray(file.read_bytes())
    for position, value in changes:
        damaged[position % len(damaged)] = value
    file.write_bytes(damaged[: len(damaged) - cut // 10])

    try:
        found = data.load(DataSource(file=file), (X,))
    except ConfigError:
        return
    assert found.evaluation.count == 6
