"""Files that appear whole or stay as they were, whatever fails."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.errors import StorageError
from kernelfit.storage import atomic, hdf5


def test_devices_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    """As root `report --out /dev/null` made a file of the device."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/null")
    for path in (pipe, link):
        with pytest.raises(StorageError, match="is a device, a pipe or a socket, expected a regular file"):
            atomic.write_bytes(path, b"data")
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_what_is_written_in_parts_is_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    seals: list[str] = []
    with atomic.replacing(path, seals.append) as draft:
        assert draft.write(b"one") == 3
        draft.write(memoryview(np.arange(3.0)))
        draft.write(np.zeros((0, 3)))
        assert draft.tell() == 27
        assert not path.exists()
    assert path.read_bytes() == b"one" + np.arange(3.0).tobytes()
    assert seals == [hdf5.file_digest(path)]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["open", "write", "fsync", "pread", "replace"])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_an_error_at_every_call_is_one_line_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    call, calls = getattr(os, name), 0

    def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*arguments, **named)

    monkeypatch.setattr(os, name, failing)
    refused = None
    try:
        with atomic.replacing(path) as draft:
            for part in (b"new", b"er", b"!"):
                draft.write(part)
    except StorageError as error:
        refused = str(error)
    # The folder is opened and synced once the file has its name.
    named = calls < at or (name, at) in (("open", 2), ("fsync", 2))
    assert path.read_bytes() == (b"newer!" if named else b"old")
    assert list(tmp_path.iterdir()) == [path]
    expected = f"{path}: cannot write: No space left on device; free space or choose another folder"
    assert refused == (None if calls < at else expected)


def test_an_error_in_the_block_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic.replacing(tmp_path / "file"):
        raise KeyError("theirs")
    assert not list(tmp_path.iterdir())


def test_writes_after_a_failed_one_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 and torch close their files whatever was said, and crash where that fails."""

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def written() -> None:
        with atomic.replacing(tmp_path / "file") as draft:
            with monkeypatch.context() as broken:
                broken.setattr(os, "write", full)
                assert draft.write(b"abc") == 3
            assert draft.write(b"def") == 3

    with pytest.raises(StorageError, match="No space left"):
        written()
    assert not list(tmp_path.iterdir())


def test_what_the_disk_gives_back_is_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full file system may take bytes and lose them: a digest of the file would seal the damage."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, bytes(data)[:-1]) + 1)
    with pytest.raises(StorageError, match="what is on the disk is not what was written"):
        atomic.write_bytes(tmp_path / "file", b"whole")
    assert not list(tmp_path.iterdir())


def test_drafts_of_killed_writers_are_removed(tmp_path: Path) -> None:
    """Of a file of many GB each kill while it was written left another one."""
    path = tmp_path / "file[1].h5"
    dead, just_dead, young, held, other = (
        tmp_path / f".{name}.{token * 12}"
        for name, token in (*((path.name, str(token)) for token in range(4)), ("file1.h5", "0"))
    )
    for left in (dead, just_dead, young, held, other):
        left.write_bytes(b"" if left == young else b"part")
        if left not in (just_dead, young):
            os.utime(left, (0, 0))
    with held.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        atomic.write_bytes(path, b"data")
        assert set(tmp_path.iterdir()) == {young, held, other, path}
    with atomic.replacing(path) as draft:
        draft.write(b"more")
        (own,) = set(tmp_path.iterdir()) - {young, held, other, path}
        os.utime(own, (0, 0))
        atomic.write_bytes(path, b"data")  # another writer of the same file
        assert own.exists()
    assert path.read_bytes() == b"more"
    assert set(tmp_path.iterdir()) == {young, other, path}


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_the_umask_is_respected(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        atomic.write_bytes(tmp_path / "file", b"rows")
        hdf5.write(tmp_path / "h5", form="test", version=1, meta={}, arrays={"rows": np.zeros(3)})
    finally:
        os.umask(before)
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == mode


def test_a_name_of_the_greatest_length(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    atomic.write_bytes(path, b"x")
    assert path.read_bytes() == b"x"


def test_a_folder_appears_with_all_its_files_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic.replacing_folder(target) as folder:
        atomic.write_bytes(folder / "file", b"x")
        assert not target.exists()
    assert (target / "file").read_bytes() == b"x"

    def refused(error: Exception) -> None:
        with atomic.replacing_folder(tmp_path / "other") as folder:
            atomic.write_bytes(folder / "file", b"x")
            raise error

    with pytest.raises(KeyError):
        refused(KeyError())
    with pytest.raises(StorageError, match="cannot write"), atomic.replacing_folder(target):
        pass  # the target is not empty
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("able", [True, False])
def test_drives_are_asked_for_what_macos_does_not_ask_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    asked: list[int] = []

    def control(descriptor: int, command: int) -> int:
        asked.append(command)
        if not able:
            raise OSError(errno.ENOTSUP, "not supported")
        return 0

    monkeypatch.setattr(atomic.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(atomic.fcntl, "fcntl", control)
    atomic.write_bytes(tmp_path / "file", b"content")
    assert asked == [51]
    assert (tmp_path / "file").read_bytes() == b"content"
