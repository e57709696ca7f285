"""core/data: samples from a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgecompress.core import data
from edgecompress.core.errors import ConfigError
from edgecompress.core.recipe import DataSource
from edgecompress.core.values import Data, TensorSpec

GREY = TensorSpec(name="x", shape=(1, 1, 2, 4), dtype="float32")
COLOUR = TensorSpec(name="x", shape=(1, 2, 4, 3), dtype="float32")


def write(folder: Path, *names: str, value: Any = 51, size: tuple[int, int] = (4, 2), mode: str = "L") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, value).save(folder / name)


def load(folder: Path, spec: TensorSpec = GREY, **keys: Any) -> Data:
    return data.load(DataSource(folder=folder, **keys), (spec,))


def refusal(folder: Path, *specs: TensorSpec, **keys: Any) -> tuple[str, str | None]:
    with pytest.raises(ConfigError) as caught:
        data.load(DataSource(folder=folder, **keys), specs or (GREY,))
    return caught.value.message.replace(str(folder), "FOLDER"), caught.value.hint


def test_folders_are_classes_in_alphabetical_order_and_take_turns(tmp_path: Path) -> None:
    write(tmp_path, "no/2.png", "no/1.PNG", "yes/1.png", value=51)
    write(tmp_path, "yes/0.jpeg", value=255)
    (tmp_path / "yes" / "Thumbs.db").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no class")

    found = load(tmp_path).evaluation

    assert found.labels is not None
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.inputs["x"].shape == (4, 1, 2, 4)
    assert found.inputs["x"].dtype == np.float32
    assert found.inputs["x"].mean(axis=(1, 2, 3)).tolist() == pytest.approx([0.2, 1, 0.2, 0.2])


def test_a_recipe_may_order_the_classes(tmp_path: Path) -> None:
    write(tmp_path, "no/1.png", "yes/1.png")

    labels = load(tmp_path, classes=("yes", "no")).evaluation.labels

    assert labels is not None
    assert labels.tolist() == [0, 1]


def test_channels_lie_where_the_network_has_them_and_each_has_its_mean(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", mode="RGB", value=(255, 0, 51))

    last = load(tmp_path, COLOUR, mean=(0.5, 0, 0), std=(0.5, 1, 2)).evaluation.inputs["x"]
    first = load(tmp_path, TensorSpec(name="x", shape=(1, 3, 2, 4), dtype="float32"), scale=1).evaluation.inputs["x"]

    assert last.shape == (1, 2, 4, 3)
    assert last[0, 1, 3].tolist() == pytest.approx([1, 0, 0.1])
    assert first[0, :, 1, 3].tolist() == [255, 0, 51]


def test_images_are_resized_and_made_grey_or_coloured(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", mode="RGB", value=(51, 51, 51), size=(9, 7))
    write(tmp_path, "a/2.png", mode="L", value=51)
    Image.fromarray(np.full((2, 4), 0x3333, np.uint16)).save(tmp_path / "a/3.png")

    assert load(tmp_path).evaluation.inputs["x"].ravel().tolist() == pytest.approx([0.2] * 24)
    assert load(tmp_path, COLOUR).evaluation.inputs["x"].ravel().tolist() == pytest.approx([0.2] * 72)


def test_a_quantized_input_gets_integers(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", value=51)
    write(tmp_path, "a/2.png", value=255)
    quantized = TensorSpec(name="x", shape=(1, 1, 2, 4), dtype="int8", scale=1 / 255, zero_point=-128)

    found = load(tmp_path, quantized).evaluation.inputs["x"]

    assert found.dtype == np.int8
    assert found[:, 0, 0, 0].tolist() == [51 - 128, 127]


def test_every_broken_image_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "a/2.jpg", "b/1.png", size=(64, 64))
    whole = (tmp_path / "a/2.jpg").read_bytes()
    (tmp_path / "a/2.jpg").write_bytes(whole[:-9])
    (tmp_path / "b/1.png").write_bytes(b"no image at all")

    message, hint = refusal(tmp_path)

    assert message == (
        "FOLDER: 2 of 3 images cannot be read: b/1.png (cannot identify image file), "
        "a/2.jpg (image file is truncated (0 bytes not processed))"
    )
    assert hint == "mend or delete them"


@pytest.mark.parametrize(
    ("names", "spec", "keys", "message"),
    [
        (["a/1.png"], TensorSpec(name="x", shape=(1, 640), dtype="float32"), {},
         "FOLDER: images have 1 or 3 channels; the input 'x' has the shape (1, 640)"),
        (["a/1.png"], GREY, {"mean": (0.1, 0.2, 0.3)},
         "FOLDER: `mean` has 3 numbers; the network's images have 1 channels"),
        (["a/1.png", "b/1.png"], GREY, {"classes": ("a", "c")}, "FOLDER has the folders a, b; `classes` lists a, c"),
        (["1.png"], GREY, {}, "FOLDER holds no folders"),
        (["a/1.gif"], GREY, {}, "FOLDER/a holds no images"),
        (["a/1.png"], TensorSpec(name="x", shape=(1, 1, 40_000, 40_000), dtype="float32"), {},
         "FOLDER: 1 images take 6,400,000,000 bytes; 4,294,967,296 are allowed"),
    ],
    ids=["no image", "means", "classes", "no folders", "no images", "bytes"],
)  # fmt: skip
def test_what_a_folder_cannot_serve_is_refused(
    tmp_path: Path, names: list[str], spec: TensorSpec, keys: dict[str, Any], message: str
) -> None:
    write(tmp_path, *names)

    assert refusal(tmp_path, spec, **keys)[0] == message


def test_two_inputs_or_no_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, GREY, GREY)[0] == "FOLDER: a folder of images serves one input; the network has 2"
    assert refusal(tmp_path / "gone") == ("image folder FOLDER does not exist", None)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"file": Path("a.npz"), "mean": 0.5}, "`mean` is for a `folder` of images"),
        ({"folder": Path("a"), "labels": "y"}, "`labels`: those of a `folder` of images are its folders"),
        ({"folder": Path("a"), "std": (1.0, 0.0)}, "`std` must be greater than 0"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="Value error") as caught:
        DataSource(**keys)

    assert problem in str(caught.value)


def test_the_images_decide_what_the_samples_are(tmp_path: Path) -> None:
    write(tmp_path, "b/1.png", "a/2.png")

    assert DataSource(folder=tmp_path).sources == (tmp_path / "a/2.png", tmp_path / "b/1.png")
