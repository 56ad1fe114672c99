"""The log of a run: one JSON line per epoch, and TensorBoard scalars where they are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kernelfit.errors import InputError
from kernelfit.report.json_output import plain
from kernelfit.storage import atomic


class EpochLog:
    """Appends to FOLDER/log.jsonl; after a resume, lines of epochs that will be repeated are dropped first."""

    def __init__(self, folder: Path, history: list[dict[str, Any]], *, tensorboard: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        atomic.write_bytes(self.path, "".join(_line(record) for record in history).encode())
        self.scalars: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError("tensorboard: the package is missing; pip install tensorboard") from None
            self.scalars = SummaryWriter(
                str(folder / "tensorboard"), purge_step=len(history) + 1 if history else None
            )

    def write(self, record: dict[str, Any]) -> None:
        """One epoch."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(_line(record))
        if self.scalars is not None:
            for name, value in record.items():
                if isinstance(value, float):
                    self.scalars.add_scalar(name, value, record["epoch"])
            self.scalars.flush()

    def close(self) -> None:
        """Flush TensorBoard."""
        if self.scalars is not None:
            self.scalars.close()


def _line(record: dict[str, Any]) -> str:
    return json.dumps(plain(record), allow_nan=False) + "\n"


def read(path: Path) -> list[dict[str, Any]]:
    """The epochs of a log; a last line cut short by a kill is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
