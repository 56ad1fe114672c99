"""The folders that are written to: made, found out to be writable before any work, and where what no run keeps goes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from kernelfit.cpu.memory import file_system_in_memory
from kernelfit.errors import StorageError
from kernelfit.storage.atomic import storage_error

# Its files outlive the machine's restart (Filesystem Hierarchy Standard 3.0, 5.15): it lies on a disk.
_ON_DISK = Path("/var/tmp")


def scratch_folder(named: Path | None, note: Callable[[str], None] | None = None) -> Path:
    """The folder that was named, else the system's temporary folder, of which /var/tmp where that lies in memory.

    `note` is told of the last. Asked for only where something is written: a container may have none. Raises
    `StorageError`.
    """
    if named is not None:
        return named
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise StorageError(
            "scratch: got none, and the system has no temporary folder that can be written, expected one for what does "
            "not stay in memory; name a folder"
        ) from None
    file_system = file_system_in_memory(folder)
    if file_system is None:
        return folder
    if _ON_DISK.is_dir() and os.access(_ON_DISK, os.W_OK) and file_system_in_memory(_ON_DISK) is None:
        if note is not None:
            note(f"scratch: {_ON_DISK}, as {folder} lies in memory ({file_system})")
        return _ON_DISK
    raise StorageError(
        f"scratch: got none, and {folder} lies in memory ({file_system}), expected a disk for what does not stay in "
        "memory; name a folder on one"
    )


def make_folder(folder: Path) -> tuple[Path, bool]:
    """The folder's absolute path, and whether it had to be made. Raises `StorageError`."""
    folder = folder.absolute()
    try:
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("make the folder", folder, error) from None
    return folder, made


def make_writable(folder: Path) -> Path:
    """The absolute path of a folder that is there now and can be written. Raises `StorageError`."""
    folder, _ = make_folder(folder)
    try:
        require_writable(folder)
    except OSError as error:
        raise storage_error("write into the folder", folder, error) from None
    return folder


def require_writable(target: Path) -> None:
    """Make and remove a folder in the nearest parent of `target` that exists. Raises `OSError`."""
    parent = target
    while not parent.exists():
        parent = parent.parent
    os.rmdir(tempfile.mkdtemp(dir=parent, prefix=".kernelfit-"))
