"""Files that appear whole or stay as they were: every file that is written at one go goes through here.

The bytes go to a temporary file beside the target by plain system calls. It is synced, read back, compared with the
digest of what was meant, and only then renamed. Whatever fails, the temporary file is removed, the old file stays, and
one `StorageError` says why.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kernelfit.errors import StorageError

# One system call moves at most 2 GiB on Linux; reading back needs one buffer of this size.
_LARGEST_TRANSFER = 2**24
# Bytes of the random part of a draft's name; seconds after which an empty one that nobody holds is nobody's.
_TOKEN, _SETTLED = 6, 60.0
#: what file systems answer that cannot sync a folder
_NO_SYNC = (errno.EINVAL, errno.ENOTSUP)


class Draft:
    """A file that has no name of its own yet. Takes what any binary file takes, from its start to its end.

    The first error is held in `error` and what is written after it is dropped: HDF5, torch and others answer an error
    while they close a file with a crash or not at all. `replacing` raises it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._meant = hashlib.blake2b(digest_size=16)
        self._size = 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Append contiguous bytes; their number."""
        view = memoryview(data)
        if not view.nbytes:
            return 0
        rest = view.cast("B")
        self._size += view.nbytes
        try:
            while rest and self.error is None:
                part = rest[:_LARGEST_TRANSFER]
                part = part[: os.write(self._descriptor, part)]
                self._meant.update(part)
                rest = rest[len(part) :]
        except OSError as error:
            self.error = error
        return view.nbytes

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is buffered."""

    def settle(self) -> str:
        """The digest of all that was written, once it is known to be on the disk."""
        if self.error is not None:
            raise self.error
        sync(self._descriptor)
        there, position = hashlib.blake2b(digest_size=16), 0
        while block := os.pread(self._descriptor, _LARGEST_TRANSFER, position):
            there.update(block)
            position += len(block)
        if there.digest() != self._meant.digest():
            raise OSError(errno.EIO, "what is on the disk is not what was written")
        return there.hexdigest()


@contextmanager
def replacing(path: Path, seal: Callable[[str], None] | None = None) -> Iterator[Draft]:
    """A draft that takes the place of `path` when the block ends without an error.

    `seal` is called with the BLAKE2b-128 of the finished file before it takes its name. The umask decides who may read
    it. Raises `StorageError`, also where `path` is a device, a pipe or a socket, or a link to one: root would lose it.
    """
    _refuse_special(path)
    _remove_drafts(path)
    temporary = _beside(path)
    descriptor = -1
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft = Draft(descriptor)
        yield draft
        digest = draft.settle()
        if seal is not None:
            seal(digest)
        os.replace(temporary, path)
        sync_folder(path.parent)
    except StorageError:
        raise
    except OSError as error:
        raise storage_error("write", path, error) from None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)  # gone by now, unless something failed


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A new folder that takes the place of `path`, which is absent or empty, when the block ends without an error.

    Its files are written with `replacing`. Raises `StorageError` where it cannot be made or renamed.
    """
    temporary = _beside(path)
    try:
        temporary.mkdir()
    except OSError as error:
        raise storage_error("make the folder", path, error) from None
    try:
        yield temporary
        try:
            os.replace(temporary, path)
            sync_folder(path.parent)
        except OSError as error:
            raise storage_error("write", path, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` in place of what `path` holds. Raises `StorageError`."""
    with replacing(path) as draft:
        draft.write(data)


def sync(descriptor: int) -> None:
    """Return when what was written to a file is on the disk. Raises `OSError`."""
    # macOS answers fsync when the drive has the bytes in its memory.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # a file system that cannot
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def append(descriptor: int, data: bytes) -> None:
    """Add `data` at the end of an open file, or leave it as it was: half a line hides the next. Raises `OSError`."""
    before = os.fstat(descriptor).st_size
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        # Where even this fails, the half line is the last one: readers leave it out.
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _refuse_special(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # not there, or what opening a file beside it will say
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StorageError(f"{path}: is a device, a pipe or a socket, expected a regular file or a new name")


def _beside(path: Path) -> Path:
    """A name that nothing has, in the same folder; of at most 255 bytes."""
    return path.with_name(f".{path.name[:48]}.{secrets.token_hex(_TOKEN)}")


def _remove_drafts(path: Path) -> None:
    """Remove the drafts of `path` whose writers were killed: each may be as large as what it was to replace."""
    pattern = f".{glob.escape(path.name[:48])}.{'[0-9a-f]' * 2 * _TOKEN}"
    with suppress(OSError):
        for draft in path.parent.glob(pattern):
            _remove_dead(draft)


def _remove_dead(draft: Path) -> None:
    """Remove a draft whose lock nobody holds: it goes with the writer, who takes it a moment after the file is made,
    before a byte is in it."""
    with suppress(OSError):
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            there = os.fstat(descriptor)
            if stat.S_ISREG(there.st_mode) and (there.st_size or time.time() - there.st_mtime > _SETTLED):
                draft.unlink()
        finally:
            os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where its file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


_REMEDIES = {
    errno.ENOSPC: "free space or choose another folder",
    errno.EDQUOT: "raise the quota or choose another folder",
    errno.EFBIG: "raise the limit of the size of files or choose another folder",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "choose a folder that can be written to",
    errno.ENOENT: "it was removed or was never there",
}


def storage_error(verb: str, path: Path, error: OSError) -> StorageError:
    """One line that says what could not be done to which file, and what helps."""
    reason = error.strerror or (str(error).splitlines() or [type(error).__name__])[0]
    return StorageError(
        f"{path}: cannot {verb}: {reason}; {_REMEDIES.get(error.errno or 0, 'check the disk')}"
    )
