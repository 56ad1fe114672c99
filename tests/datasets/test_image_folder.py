"""Image folders: one sub-folder a class, one size for all."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kernelfit.datasets.image_folder import read_image_folder
from kernelfit.errors import DataError


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def grey(value: int) -> np.ndarray:
    return np.full((3, 5), value, np.uint8)


def test_classes_and_files_stand_in_order(tmp_path: Path) -> None:
    save(tmp_path / "dog/2.png", grey(3))
    save(tmp_path / "dog/1.png", grey(2))
    save(tmp_path / "cat/9.png", grey(1))
    (tmp_path / "notes.txt").write_text("not a class")
    (tmp_path / "empty").mkdir()
    (tmp_path / "cat" / "readme.md").write_text("not an image")
    rows, test = read_image_folder(tmp_path)
    assert test is None
    assert rows.class_names == ("cat", "dog")
    assert rows.y.tolist() == [0, 1, 1]
    assert rows.X[:, 0].tolist() == [1, 2, 3]
    assert rows.image_shape == (3, 5, 1)
    assert rows.notes == ()


def test_colour_rows_are_height_width_channel(tmp_path: Path) -> None:
    picture = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    save(tmp_path / "a/1.png", picture)
    save(tmp_path / "b/1.png", picture)
    rows, _ = read_image_folder(tmp_path)
    assert rows.image_shape == (3, 5, 3)
    np.testing.assert_array_equal(rows.X[0], picture.ravel())


def test_train_and_test_folders(tmp_path: Path) -> None:
    for part in ("train", "test"):
        save(tmp_path / part / "a/1.png", grey(1))
        save(tmp_path / part / "b/1.png", grey(2))
    _, test = read_image_folder(tmp_path)
    assert test is not None
    assert test.X[:, 0].tolist() == [1, 2]


def test_mixed_modes_become_colour_with_a_note(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png", grey(7))
    save(tmp_path / "b/1.png", np.zeros((3, 5, 4), np.uint8))
    rows, _ = read_image_folder(tmp_path)
    assert rows.image_shape == (3, 5, 3)
    assert "2 of 2 images were turned into red, green and blue" in rows.notes[0]


def test_another_size_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png", grey(1))
    odd = save(tmp_path / "b/1.png", np.zeros((3, 6), np.uint8))
    with pytest.raises(
        DataError, match="5 x 3 pixels like the first image, found 6 x 3; resize it"
    ) as caught:
        read_image_folder(tmp_path)
    assert str(odd) in str(caught.value)


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a/1.png", np.zeros((3, 5), np.uint16))
    with pytest.raises(DataError, match="8 bits a channel"):
        read_image_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = save(tmp_path / "a/1.png", grey(1))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a/1\.png: expected an image"):
        read_image_folder(tmp_path)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    path = save(tmp_path / "a/1.png", noise)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(DataError, match=r"a/1\.png: expected an image that decodes"):
        read_image_folder(tmp_path)


def test_an_image_that_claims_a_billion_pixels_is_not_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "a/1.png", grey(1))
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 8000, 8000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"at most \d+ pixels in a file of its size, found 8000 x 8000"):
        read_image_folder(tmp_path)


def test_a_chunk_that_claims_gigabytes_allocates_nothing(tmp_path: Path, memory_below: Any) -> None:
    path = save(tmp_path / "a/1.png", grey(1))
    content = path.read_bytes()
    at = content.index(b"IDAT") - 4
    path.write_bytes(content[:at] + b"\x7f\xff\xff\xff" + content[at + 4 :])
    with (
        memory_below(16 << 20),
        suppress(DataError),
    ):  # the pixels themselves are whole, so Pillow may well return them
        read_image_folder(tmp_path)


def test_a_folder_without_images_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sub-folders with images, one for each class, found none"):
        read_image_folder(tmp_path)
