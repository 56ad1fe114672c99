"""Image folders: one sub-folder a class, one size for all."""

from __future__ import annotations

import struct
import unicodedata
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from kernelfit.datasets.image_folder import read_image_folder
from kernelfit.datasets.new_rows import read_rows
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
    (tmp_path / "hare").mkdir()
    for number in (1, 2):
        (tmp_path / f"hare/{number}.tif").write_text("of a format that is not read")
    (tmp_path / "cat" / "readme.md").write_text("not an image")
    rows, test = read_image_folder(tmp_path)
    assert test is None
    assert rows.class_names == ("cat", "dog")
    assert rows.y.tolist() == [0, 1, 1]
    assert rows.X[:, 0].tolist() == [1, 2, 3]
    assert rows.image_shape == (3, 5, 1)
    assert rows.notes == (
        f"{tmp_path}: files skipped: 2 (.md 1, .txt 1)",
        f"{tmp_path}: sub-folders without images are left aside: empty, hare (.tif 2)",
    )


def test_what_systems_hide_is_no_class_and_no_image(tmp_path: Path) -> None:
    for name in ("cat/1.png", "dog/1.png", "cat/._1.png", ".ipynb_checkpoints/1.png", "__MACOSX/1.png"):
        save(tmp_path / name, grey(1))
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "dog/desktop.ini"):
        (tmp_path / name).write_bytes(b"hidden")
    rows, _ = read_image_folder(tmp_path)
    assert rows.class_names == ("cat", "dog")
    assert (len(rows.X), rows.notes) == (2, ())


def test_skipped_files_are_counted_by_their_suffix(tmp_path: Path) -> None:
    save(tmp_path / "cat/1.png", grey(1))
    save(tmp_path / "dog/1.png", grey(1))
    save(tmp_path / "stray.png", grey(1))
    for name in ("cat/2.gif", "dog/3.gif", "dog/labels"):
        (tmp_path / name).write_bytes(b"x")
    rows, _ = read_image_folder(tmp_path)
    assert rows.notes == (f"{tmp_path}: files skipped: 4 (.gif 2, no suffix 1, .png 1)",)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_images_stand_upright_as_their_exif_data_say(tmp_path: Path, suffix: str) -> None:
    """Each of the eight orientations of one picture gives its rows again."""
    upright = np.kron(np.array([[10, 60, 110], [160, 200, 240]], np.uint8), np.ones((16, 16), np.uint8))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }
    for orientation, pixels in stored.items():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        path = tmp_path / f"{'ab'[orientation % 2]}/{orientation}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(pixels)).save(path, exif=exif, lossless=True, quality=100)
    rows, _ = read_image_folder(tmp_path)
    assert rows.image_shape is not None
    assert rows.image_shape[:2] == upright.shape
    grey_rows = rows.X.reshape(8, upright.size, -1)[:, :, 0].astype(int)
    assert np.abs(grey_rows - upright.ravel()).max() <= 2
    assert f"{tmp_path}: 7 of 8 images were turned upright as their EXIF data say" in rows.notes


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize("kind", ["eXIf", "tEXt", "zTXt", "iTXt"])
@pytest.mark.parametrize("after", [False, True])
def test_every_place_of_a_png_that_holds_an_orientation_is_looked_at(
    tmp_path: Path, kind: str, after: bool
) -> None:
    """Only an eXIf chunk and XMP data before the pixels were."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = exif.tobytes()
    text = f"\nexif\n{len(profile):8}\n{profile.hex()}\n".encode()
    key = b"Raw profile type exif\0"
    added = {
        "eXIf": chunk(b"eXIf", profile.removeprefix(b"Exif\0\0")),
        "tEXt": chunk(b"tEXt", key + text),
        "zTXt": chunk(b"zTXt", key + b"\0" + zlib.compress(text)),
        "iTXt": chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="6"/>'),
    }[kind]
    upright = np.arange(15, dtype=np.uint8).reshape(3, 5)
    path = save(tmp_path / "a/1.png", np.ascontiguousarray(np.rot90(upright)))
    content = path.read_bytes()
    at = content.index(b"IEND" if after else b"IDAT") - 4
    path.write_bytes(content[:at] + added + content[at:])
    rows, _ = read_image_folder(tmp_path)
    assert rows.X.tolist() == [upright.ravel().tolist()]
    assert rows.notes == (f"{tmp_path}: 1 of 1 images were turned upright as their EXIF data say",)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "val"),
        ("Train", "Test"),
        ("training", "validation"),
        ("TRAIN", "valid"),
        ("train", "testing"),
    ],
)
def test_parts_have_several_names(tmp_path: Path, train: str, test: str) -> None:
    for number, part in enumerate((train, test)):
        save(tmp_path / part / "a/1.png", grey(10 * number + 1))
        save(tmp_path / part / "b/1.png", grey(10 * number + 2))
    rows, own_test = read_image_folder(tmp_path)
    assert own_test is not None
    assert rows.X[:, 0].tolist() == [1, 2]
    assert own_test.X[:, 0].tolist() == [11, 12]
    assert rows.class_names == ("a", "b")


def test_a_second_test_part_and_one_without_classes_are_left_aside_with_a_note(tmp_path: Path) -> None:
    for part in ("train", "val"):
        save(tmp_path / part / "a/1.png", grey(1))
        save(tmp_path / part / "b/1.png", grey(2))
    save(tmp_path / "test/1.png", grey(3))
    rows, test = read_image_folder(tmp_path)
    assert test is not None
    assert test.path.name == "val"
    assert rows.notes == (f"{tmp_path}: test is left aside: it has no sub-folders of classes",)
    save(tmp_path / "test/a/1.png", grey(5))
    rows, test = read_image_folder(tmp_path)
    assert test is not None
    assert test.path.name == "test"
    assert rows.notes == (f"{tmp_path}: val is left aside",)


def test_folders_beside_a_training_part_are_left_aside_with_a_note(tmp_path: Path) -> None:
    for part in ("train", "Train", "eval"):
        save(tmp_path / part / "a/1.png", grey(1))
        save(tmp_path / part / "b/1.png", grey(2))
    rows, test = read_image_folder(tmp_path)
    assert test is None
    (note,) = rows.notes
    assert note.startswith(f"{tmp_path}: folders beside ")
    assert note.endswith((" are left aside: Train, eval", " are left aside: eval, train"))


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_images_that_move_give_their_first_picture_with_a_note(tmp_path: Path, suffix: str) -> None:
    first, second = (Image.fromarray(grey(value)).convert("RGB") for value in (10, 200))
    save(tmp_path / "a/1.png", np.zeros((3, 5, 3), np.uint8))
    (tmp_path / "b").mkdir()
    first.save(tmp_path / f"b/1.{suffix}", save_all=True, append_images=[second], lossless=True)
    rows, _ = read_image_folder(tmp_path)
    assert rows.X[1].tolist() == [10] * 45
    assert rows.notes == (f"{tmp_path}: of 1 of 2 images, which move, the first picture is taken",)


def test_a_training_part_alone_has_no_test_part(tmp_path: Path) -> None:
    save(tmp_path / "train/a/1.png", grey(1))
    save(tmp_path / "train/b/1.png", grey(2))
    rows, test = read_image_folder(tmp_path)
    assert test is None
    assert rows.class_names == ("a", "b")


def test_colour_rows_are_height_width_channel(tmp_path: Path) -> None:
    picture = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    save(tmp_path / "a/1.png", picture)
    save(tmp_path / "b/1.png", picture)
    rows, _ = read_image_folder(tmp_path)
    assert rows.image_shape == (3, 5, 3)
    np.testing.assert_array_equal(rows.X[0], picture.ravel())


def test_new_images_need_no_classes(tmp_path: Path) -> None:
    for value in (2, 1):
        save(tmp_path / f"{value}.png", grey(value))
    (tmp_path / ".DS_Store").write_bytes(b"hidden")
    (tmp_path / "readme.md").write_text("not an image")
    rows = read_rows(tmp_path)
    assert not rows.labelled
    assert (rows.ids, rows.X[:, 0].tolist()) == (("1.png", "2.png"), [1, 2])
    assert rows.notes == (f"{tmp_path}: files skipped: 1 (.md 1)",)
    for name in ("a", "b"):
        save(tmp_path / f"{name}/1.png", grey(3))
    rows = read_rows(tmp_path)  # with folders of classes those are the rows, as in training
    assert (rows.ids, rows.labelled) == (("a/1.png", "b/1.png"), True)


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


@pytest.mark.parametrize("channels", ["2", "4", "6", "P6", "P3"])
def test_sixteen_bits_of_colours_are_refused(tmp_path: Path, channels: str) -> None:
    """Pillow reads them as 8."""
    (tmp_path / "a").mkdir()
    if channels.startswith("P"):
        path, binary = tmp_path / "a/1.ppm", channels == "P6"
        path.write_bytes(f"{channels} 4 4 65535\n".encode() + (bytes(96) if binary else b"0 " * 48))
    else:
        path, kind = tmp_path / "a/1.png", int(channels)
        lines = bytes(4 * (1 + 4 * 2 * {2: 3, 4: 2, 6: 4}[kind]))
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0))
        pixels = chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + pixels)
    with pytest.raises(DataError, match="expected 8 bits a channel, found 16; convert it to 8 bits"):
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


def test_a_folder_that_is_not_understood_says_what_is_there_and_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data folder: got .* with nothing in it, expected CLASS/IMAGE"):
        read_image_folder(tmp_path)
    (tmp_path / "masks").mkdir()
    (tmp_path / "train.csv").write_text("a,b")
    with pytest.raises(DataError) as caught:
        read_image_folder(tmp_path)
    message = str(caught.value)
    assert "with the sub-folders masks without images of their own and files (.csv 1), expected" in message
    assert (
        "train/CLASS/IMAGE with test or val beside it, the four IDX files of MNIST, or a data set" in message
    )
    assert "\n" not in message


def test_transparency_is_left_out_with_a_note(tmp_path: Path) -> None:
    save(tmp_path / "cat/1.png", np.zeros((3, 5, 4), np.uint8))
    save(tmp_path / "dog/1.png", np.zeros((3, 5, 3), np.uint8))
    rows, _ = read_image_folder(tmp_path)
    assert f"{tmp_path}: the transparency of 1 of 2 images is left out" in rows.notes


def test_parts_without_classes_are_not_taken_as_two_classes(tmp_path: Path) -> None:
    save(tmp_path / "train/1.png", grey(1))
    save(tmp_path / "test/1.png", grey(1))
    with pytest.raises(DataError, match="train: expected a sub-folder for each class, found 1 images in the"):
        read_image_folder(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GIF89a", r"found none of these; mend or remove the file"),
        (b"", "found an empty file; mend"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_what_is_no_image_is_said_without_addresses(tmp_path: Path, content: bytes, message: str) -> None:
    save(tmp_path / "cat/1.png", grey(1))
    (tmp_path / "cat/2.png").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_image_folder(tmp_path)


def test_formats_that_are_not_read_and_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.gif").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"the sub-folders cat without images of their own \(\.gif 1\)"):
        read_image_folder(tmp_path)
    save(tmp_path / "cat/1.png", grey(1))
    (tmp_path / "cat/2.png").symlink_to("nowhere")
    rows, _ = read_image_folder(tmp_path)
    assert rows.notes == (f"{tmp_path}: files skipped: 2 (.gif 1, link that leads nowhere 1)",)


def test_files_beside_a_training_part_are_left_aside_with_a_note(tmp_path: Path) -> None:
    """A table of labels was passed over without a word."""
    save(tmp_path / "train/a/1.png", grey(1))
    save(tmp_path / "train/b/1.png", grey(2))
    (tmp_path / "labels.csv").write_text("file,label\n")
    rows, _ = read_image_folder(tmp_path)
    assert rows.notes == (f"{tmp_path}: files beside train are left aside: labels.csv",)


def test_classes_are_one_however_their_accents_are_stored(tmp_path: Path) -> None:
    """Test images were of a further class of the same looks."""
    within, behind = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    save(tmp_path / "train" / within / "1.png", grey(1))
    save(tmp_path / "train/zoo/1.png", grey(2))
    save(tmp_path / "test" / behind / "1.png", grey(3))
    rows, test = read_image_folder(tmp_path)
    assert test is not None
    assert rows.class_names == ("zoo", within)
    assert test.class_names == (within,)
