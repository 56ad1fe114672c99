"""IDX files: read as written, refused when any size disagrees."""

from __future__ import annotations

import gzip
import hashlib
from typing import Any

import numpy as np
import pytest

from kernelfit.datasets.idx import read_idx, read_images_and_labels
from kernelfit.errors import DataError

IMAGES = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)


@pytest.mark.parametrize("zipped", [False, True])
def test_an_array_comes_back_with_the_digest_of_its_content(files: Any, zipped: bool) -> None:
    content = files.idx_bytes(IMAGES)
    path = files.bytes("images", gzip.compress(content) if zipped else content)
    array, digest = read_idx(path, 3)
    np.testing.assert_array_equal(array, IMAGES)
    assert digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an IDX header of 16 bytes, found 0"),
        (b"\0\0\x08", "an IDX header of 16 bytes, found 3"),
        ("kind", "IDX magic 00000803 .* found 00000d03"),
        ("axes", "IDX magic 00000803 .* found 00000802"),
        ("cut", "30 bytes for the shape \\(2, 3, 5\\)"),
        ("long", "more bytes after them"),
        ("text", "IDX magic"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_broken_file_is_named_with_expected_and_found(
    files: Any, content: bytes | str, message: str, zipped: bool
) -> None:
    whole = files.idx_bytes(IMAGES)
    variants = {
        "kind": files.idx_bytes(IMAGES, kind=0x0D),
        "axes": files.idx_bytes(IMAGES.reshape(6, 5)) + b"\0" * 8,
        "cut": whole[:-1],
        "long": whole + b"\0",
        "text": b"<html>not what you wanted</html>",
    }
    body = variants[content] if isinstance(content, str) else content
    path = files.bytes("images.gz", gzip.compress(body) if zipped else body)
    if zipped and content == "cut":
        message = "30 bytes of shape"  # the header is plausible for a gzip file; the end comes while reading
    with pytest.raises(DataError, match=message) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


def test_a_damaged_gzip_is_refused(files: Any) -> None:
    zipped = bytearray(gzip.compress(files.idx_bytes(IMAGES)))
    zipped[-6] ^= 1  # its checksum
    with pytest.raises(DataError, match="CRC"):
        read_idx(files.bytes("images.gz", bytes(zipped)), 3)
    with pytest.raises(DataError, match="ends too early"):
        read_idx(files.bytes("images.gz", gzip.compress(files.idx_bytes(IMAGES))[:-9]), 3)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_forged_size_allocates_nothing(files: Any, memory_below: Any, zipped: bool) -> None:
    content = files.idx_bytes(IMAGES, shape=(60000, 2**20, 2**20))
    path = files.bytes("images", gzip.compress(content) if zipped else content)
    with (
        memory_below(4 << 20),
        pytest.raises(DataError, match=r"65970697666560000 bytes .* a file that holds at most"),
    ):
        read_idx(path, 3)


def test_a_gzip_bomb_is_not_unpacked_beyond_its_header(files: Any, memory_below: Any) -> None:
    bomb = gzip.compress(files.idx_bytes(IMAGES) + bytes(64 << 20))
    path = files.bytes("images.gz", bomb)
    with memory_below(4 << 20), pytest.raises(DataError, match="more bytes after them"):
        read_idx(path, 3)


def test_images_and_labels_must_be_as_many(files: Any) -> None:
    images = files.bytes("images", files.idx_bytes(IMAGES))
    labels = files.bytes("labels", files.idx_bytes(np.array([1, 2, 3], np.uint8)))
    with pytest.raises(DataError, match="expected 2 labels, one for each image of images, found 3"):
        read_images_and_labels(images, labels)


def test_an_empty_set_is_refused(files: Any) -> None:
    images = files.bytes("images", files.idx_bytes(IMAGES[:0]))
    labels = files.bytes("labels", files.idx_bytes(np.array([], np.uint8)))
    with pytest.raises(DataError, match="at least one image"):
        read_images_and_labels(images, labels)


def test_a_missing_file_is_named(files: Any) -> None:
    with pytest.raises(DataError, match=r"nowhere: expected an IDX file, found no such file"):
        read_idx(files.folder / "nowhere", 3)
