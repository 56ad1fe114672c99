"""Opening files of a folder that may have come from elsewhere: regular files only, and no symbolic links.

A link would have us write to, or truncate, whatever it points to; a pipe would have us wait for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from kernelfit.errors import StorageError
from kernelfit.storage.atomic import storage_error

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


def open_regular(path: Path, flags: int, verb: str) -> int:
    """A descriptor of the regular file `path`. Raises `StorageError`; `verb` says what it was opened for."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            require_regular(path)
        raise storage_error(verb, path, error) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        require_regular(path)
    return descriptor


def require_regular(path: Path) -> None:
    """Raise `StorageError` where `path` is there and no regular file."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        found = _KINDS.get(stat.S_IFMT(mode), "a device")
        raise StorageError(f"{path}: is {found}, expected a regular file; remove it")
