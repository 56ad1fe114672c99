"""One writer to a folder: an advisory lock that the system takes back when its holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from kernelfit.cpu.fork import renew_in_children
from kernelfit.errors import StorageError
from kernelfit.storage.atomic import storage_error
from kernelfit.storage.regular import open_regular

# What file systems answer that have no `flock`: Lustre as it is mounted by default, NFS without its lock daemon, ...
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


class FolderLock:
    """Holds `path` exclusively until `release`; raises `StorageError` at once where another process holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        while True:
            self._descriptor = open_regular(path, os.O_RDWR | os.O_CREAT, "lock the folder")
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
                os.close(self._descriptor)
                if isinstance(error, BlockingIOError):
                    raise StorageError(
                        f"{path.parent}: process {holder or 'unknown'} is working in this folder; wait until it ends, "
                        "or name another folder"
                    ) from None
                if error.errno in _NO_LOCKS:
                    raise StorageError(
                        f"{path.parent}: lies on a file system without locks ({error.strerror}), expected flock, which "
                        "holds a run to one writer; mount it with locks (Lustre: -o flock), or name a folder elsewhere"
                    ) from None
                raise storage_error("lock the folder", path, error) from None
            if self._in_place():
                break
            os.close(self._descriptor)  # its last holder removed it between our two calls
        renew_in_children(self)
        with suppress(OSError):  # a full disk: who holds the lock is for others to read, no more
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def renew(self) -> None:
        """A forked child holds nothing: a lock that it inherited would outlive the process that works in the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _in_place(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def release(self, *, remove: bool = False) -> None:
        """Let others in; `remove` takes the file away as well."""
        if self._descriptor >= 0:
            if remove:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1
