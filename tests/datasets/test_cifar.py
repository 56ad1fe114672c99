"""CIFAR-10 batches: binary, pickled, and either one inside an archive."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.datasets.cifar import (
    decode_binary,
    decode_python,
    read_archive,
    read_binary_batch,
    read_python_batch,
)
from kernelfit.errors import DataError


def test_rows_are_height_width_channel(files: Any) -> None:
    planes = np.arange(3072, dtype=np.uint64).astype(np.uint8).reshape(3, 32, 32)
    path = files.bytes("batch.bin", b"\x07" + planes.tobytes())
    X, y = read_binary_batch(path)
    assert y.tolist() == [7]
    np.testing.assert_array_equal(X[0].reshape(32, 32, 3), planes.transpose(1, 2, 0))


def test_binary_and_python_layouts_agree(files: Any) -> None:
    files.rng = np.random.default_rng(9)
    binary = decode_binary(files.cifar_binary(3), Path("a"))
    files.rng = np.random.default_rng(9)
    python = read_python_batch(files.bytes("data_batch_1", files.cifar_pickle(3)))
    for left, right in zip(binary, python, strict=True):
        np.testing.assert_array_equal(left, right)
        assert left.dtype == right.dtype


@pytest.mark.parametrize(("cut", "found"), [(1, "6145 bytes"), (6146, "0 bytes")])
def test_a_truncated_binary_batch_is_refused(files: Any, cut: int, found: str) -> None:
    path = files.bytes("data_batch_1.bin", files.cifar_binary(2)[:-cut])
    with pytest.raises(DataError, match=f"multiple of 3073 bytes.*found {found}"):
        read_binary_batch(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.zeros((2, 3071), np.uint8)}, "'data' of shape \\(n, 3072\\), found shape \\(2, 3071\\)"),
        ({"data": [1, 2]}, "'data' of shape .* found list"),
        ({"data": np.zeros((2, 3072), np.float32)}, "not of unsigned bytes"),
        ({"labels": [1]}, "'labels', a list of 2"),
        ({"labels": [1, 10]}, "label 10 in row 1"),
        ({"labels": [-1, 1]}, "label -1 in row 0"),
        ({"labels": ["cat", "dog"]}, "labels 0 to 9, found label"),
        ({"labels": [1, True]}, "label True in row 1"),
    ],
)
def test_a_wrong_python_batch_is_refused(files: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_python(files.cifar_pickle(2, **changes), Path("batch"))


def test_members_are_read_from_an_archive_in_the_order_asked_for(files: Any) -> None:
    one, two = files.cifar_binary(1), files.cifar_binary(2)
    path = files.bytes(
        "a.tar.gz", files.tar_gz({"folder/two.bin": two, "readme.html": b"x", "folder/one.bin": one})
    )
    batches = read_archive(path, ("one.bin", "two.bin"), decode_binary)
    assert [len(X) for X, _ in batches] == [1, 2]


def test_a_missing_member_is_named(files: Any) -> None:
    path = files.bytes("a.tar.gz", files.tar_gz({"one.bin": files.cifar_binary(1)}))
    with pytest.raises(DataError, match=r"found no two\.bin"):
        read_archive(path, ("one.bin", "two.bin"), decode_binary)


def test_a_truncated_archive_is_refused(files: Any) -> None:
    whole = files.tar_gz({"one.bin": files.cifar_binary(3)})
    path = files.bytes("a.tar.gz", whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.tar\.gz"):
        read_archive(path, ("one.bin",), decode_binary)


def test_an_archive_cannot_escape_its_folder(files: Any) -> None:
    """Nothing is written, links are refused, and a path in a member's name leads nowhere."""
    outside = files.bytes("outside/one.bin", files.cifar_binary(1))
    folder = files.path("inside/a.tar.gz").parent
    before = sorted(files.folder.rglob("*"))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            info = tarfile.TarInfo("../one.bin")
            info.type = kind
            info.linkname = str(outside)
            archive.addfile(info)
        path = folder / "a.tar.gz"
        path.write_bytes(stream.getvalue())
        with pytest.raises(DataError, match="one regular file"):
            read_archive(path, ("one.bin",), decode_binary)
        path.unlink()
    path = files.bytes(
        "inside/a.tar.gz",
        files.tar_gz({"../../escaped.bin": files.cifar_binary(1), "/one.bin": outside.read_bytes()}),
    )
    assert len(read_archive(path, ("one.bin",), decode_binary)) == 1
    path.unlink()
    assert sorted(files.folder.rglob("*")) == before


def test_two_members_of_one_name_are_refused(files: Any) -> None:
    batch = files.cifar_binary(1)
    path = files.bytes("a.tar.gz", files.tar_gz({"a/one.bin": batch, "b/one.bin": batch}))
    with pytest.raises(DataError, match="a second one"):
        read_archive(path, ("one.bin",), decode_binary)


def test_a_member_larger_than_any_official_one_is_refused_before_it_is_read(files: Any) -> None:
    info = tarfile.TarInfo("one.bin")
    info.size = 1 << 40
    path = files.bytes("a.tar.gz", gzip.compress(info.tobuf() + bytes(1024)))
    with pytest.raises(DataError, match=r"members of at most .* 'one.bin' of 1099511627776"):
        read_archive(path, ("one.bin",), decode_binary)


def test_a_bomb_in_a_header_stops_at_the_bound(
    files: Any, monkeypatch: pytest.MonkeyPatch, memory_below: Any
) -> None:
    """A GNU long name of 1 GB: tarfile would unzip it whole to learn the name."""
    monkeypatch.setattr("kernelfit.datasets.cifar._ARCHIVE_LIMIT", 4 << 20)
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 1 << 30
    path = files.bytes("a.tar.gz", gzip.compress(info.tobuf() + bytes(64 << 20), 1))
    with memory_below(24 << 20), pytest.raises(DataError, match="at most 4194304 bytes of content"):
        read_archive(path, ("one.bin",), decode_binary)
