"""Members of a .tar.gz: read in order, and nothing else done to the disk."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import Any

import pytest

from kernelfit.datasets.archive import read_archive
from kernelfit.datasets.cifar import decode_binary
from kernelfit.errors import DataError


def test_members_are_read_from_an_archive_in_the_order_asked_for(files: Any) -> None:
    one, two = files.cifar_binary(1), files.cifar_binary(2)
    path = files.bytes(
        "a.tar.gz", files.tar_gz({"folder/two.bin": two, "readme.html": b"x", "folder/one.bin": one})
    )
    batches = read_archive(path, ("one.bin", "two.bin"), decode_binary)
    assert [len(X) for X, _ in batches] == [1, 2]


def test_an_archive_may_be_unzipped_already(files: Any) -> None:
    packed = files.tar_gz({"folder/one.bin": files.cifar_binary(1)})
    path = files.bytes("a.tar", gzip.decompress(packed))
    assert len(read_archive(path, ("one.bin",), decode_binary)[0][0]) == 1


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


def test_a_bomb_in_a_header_stops_at_the_bound(files: Any, memory_below: Any) -> None:
    """A GNU long name of 1 GB: tarfile would unzip it whole to learn the name."""
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    info.size = 1 << 30
    path = files.bytes("a.tar.gz", gzip.compress(info.tobuf() + bytes(64 << 20), 1))
    with memory_below(24 << 20), pytest.raises(DataError, match="at most 4194304 bytes of content"):
        read_archive(path, ("one.bin",), decode_binary, max_content=4 << 20)
