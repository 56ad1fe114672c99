"""HDF5 files of arrays and text: verified before HDF5 sees them, and not believed afterwards either."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kernelfit.errors import DataError
from kernelfit.storage import hdf5

ARRAYS = {"rows": np.arange(12.0).reshape(3, 4), "kept": np.arange(3)}


def written(path: Path) -> None:
    hdf5.write(path, form="kernelfit test", version=1, meta={"a": [1, None]}, arrays=ARRAYS)


def back(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return hdf5.read(path, lambda *found: found, form="kernelfit test", version=1, remedy="try again")


def forge(path: Path, change: Callable[[Any], None]) -> None:
    """Change a file and give it the checksum of what it holds now."""
    with h5py.File(path, "r+") as file:
        change(file)
    digest = hdf5._digest_from(path, hdf5._HEAD)
    with open(path, "r+b") as plain:
        plain.write(hdf5.header("kernelfit test", digest))


def test_what_is_written_is_read_back_and_is_plain_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    written(path)
    meta, arrays = back(path)
    assert meta == {"a": [1, None]}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    with h5py.File(path, "r") as file:
        assert file.attrs["format"] == b"kernelfit test"
        assert json.loads(file["meta"][()]) == meta
        # Text of variable length lies in heaps, which HDF5 may read for ever in a forged file.
        assert all(file[name].dtype.kind in "Sif" for name in file)
        assert all(value.dtype.kind in "Si" for value in file.attrs.values())
        np.testing.assert_array_equal(file["rows"][()], ARRAYS["rows"])


def test_hdf5_never_sees_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader can loop forever on one."""
    path = tmp_path / "file.h5"
    written(path)
    data = path.read_bytes()

    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("h5py was called")

    monkeypatch.setattr(h5py, "File", opened)
    head = data.index(b"\n", data.index(b"\n") + 1)
    for place in [*range(head), *range(hdf5._HEAD, len(data), 37)]:
        damaged = bytearray(data)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"file\.h5") as caught:
            back(path)
        assert "\n" not in str(caught.value)
    for length in range(0, len(data), 101):
        path.write_bytes(data[:length])
        with pytest.raises(DataError):
            back(path)


def _replace(**options: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["rows"]
        file.create_dataset("rows", **options)

    return change


def _described(meta: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["meta"]
        file["meta"] = meta

    return change


def _link(kind: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        del file["rows"]
        file["rows"] = kind

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_replace(shape=(2**20, 2**20), dtype="f8"), "claims more bytes than the file has"),
        (_replace(shape=(100, 100), dtype="f8", chunks=(10, 10), compression="gzip"), "not a plain array"),
        (_replace(shape=(4,), dtype="f8", external=[("/etc/passwd", 0, 32)]), "not a plain array"),
        (_replace(data=["text"], dtype=h5py.string_dtype()), "not a plain array"),
        (_replace(shape=(3,), dtype=">f8"), "not a plain array"),
        (_link(h5py.ExternalLink("/etc/passwd", "/")), "not a plain array"),
        (_link(h5py.SoftLink("/kept")), "not a plain array"),
        (lambda file: file.create_group("more"), "not a plain array"),
        (lambda file: file.attrs.update(version=9), "version 9, expected at most 1"),
        (lambda file: file.attrs.update(version="1"), "version is not an integer"),
        (_described(3), "'meta' is not a plain array"),
        (_described("{}"), "'meta' is not a plain array"),
        (_described(np.bytes_(b"[1")), "not a readable kernelfit test"),
        (_described(np.bytes_(b"[1]")), "not a JSON object"),
        (_described(np.array([b"{}", b"{}"])), "not a JSON object"),
        (lambda file: file.pop("meta"), "not a JSON object"),
    ],
)
def test_a_forged_checksum_does_no_harm(tmp_path: Path, change: Callable[[Any], None], words: str) -> None:
    path = tmp_path / "file.h5"
    written(path)
    forge(path, change)
    with pytest.raises(DataError, match=r"file\.h5") as caught:
        back(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_system_without_locks_is_read(tmp_path: Path) -> None:
    written(tmp_path / "file.h5")
    with open(tmp_path / "file.h5", "r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)  # HDF5 is refused the lock, as it is there
        meta, _ = back(tmp_path / "file.h5")
    assert meta == {"a": [1, None]}


@pytest.mark.parametrize("locking", [None, False, True])
def test_a_file_that_this_process_has_open_is_read(tmp_path: Path, locking: bool | None) -> None:
    """HDF5 opens a file a second time in one process only with the same rule of locking."""
    written(tmp_path / "file.h5")
    with h5py.File(tmp_path / "file.h5", "r", locking=locking):
        meta, _ = back(tmp_path / "file.h5")
    assert meta == {"a": [1, None]}
