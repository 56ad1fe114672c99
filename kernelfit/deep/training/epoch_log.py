"""The log of a run: one JSON line per epoch, and TensorBoard scalars where they are asked for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from kernelfit.errors import InputError, StorageError
from kernelfit.storage import atomic
from kernelfit.storage.folders import make_folder
from kernelfit.storage.json_output import plain
from kernelfit.storage.regular import open_regular

ROOM = 1 << 16  # bytes of scalars to begin with


class EpochLog:
    """FOLDER/log.jsonl and FOLDER/tensorboard: `history` at first, then what is written.

    Both are begun anew with `history`, so that after a resume the epochs that are repeated stand there once.
    """

    def __init__(self, folder: Path, history: list[dict[str, Any]], *, tensorboard: bool = False) -> None:
        make_folder(folder)
        self.path = folder / "log.jsonl"
        atomic.write_bytes(self.path, "".join(_line(record) for record in history).encode())
        self.scalars = _scalar_writer(folder / "tensorboard") if tensorboard else None
        for record in history:
            self._add_scalars(record)

    def write(self, record: dict[str, Any]) -> None:
        """One epoch. Raises StorageError where there is no room; no half line is left behind."""
        descriptor = open_regular(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, "write")
        try:
            atomic.append(descriptor, _line(record).encode())
            self._add_scalars(record)
        except OSError as error:
            raise atomic.storage_error("write", self.path, error) from None
        finally:
            os.close(descriptor)

    def _add_scalars(self, record: dict[str, Any]) -> None:
        if self.scalars is None:
            return
        for name, value in record.items():
            if isinstance(value, float):
                self.scalars.add_scalar(name, value, record["epoch"])
        self.scalars.flush()

    def close(self) -> None:
        """Flush TensorBoard."""
        if self.scalars is None:
            return
        try:
            self.scalars.close()
        except OSError as error:
            raise atomic.storage_error("write", self.path.parent / "tensorboard", error) from None


def _scalar_writer(folder: Path) -> Any:
    """A TensorBoard writer into `folder`, emptied of the events of an earlier call."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("tensorboard: the package is missing; pip install tensorboard") from None
    try:
        folder.mkdir(exist_ok=True)
        for events in folder.glob("events.out.tfevents.*"):
            events.unlink(missing_ok=True)
        # On a full disk its thread prints a traceback that nobody can catch: see that there is room first.
        atomic.write_bytes(folder / ".room", bytes(ROOM))
        (folder / ".room").unlink()
        return SummaryWriter(str(folder))
    except StorageError:
        raise
    except OSError as error:
        raise atomic.storage_error("write", folder, error) from None


def _line(record: dict[str, Any]) -> str:
    return json.dumps(plain(record), allow_nan=False) + "\n"


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file, without what follows the last end of one: it is cut short, whatever it says. Raises
    StorageError.
    """
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise atomic.storage_error("read", path, error) from None


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a log; a last line cut short by a kill is left out. Raises StorageError."""
    records = []
    for line in whole_lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict):
            break
        records.append(record)
    return records
