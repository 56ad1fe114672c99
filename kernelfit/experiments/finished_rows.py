"""Rows of a table that are computed one by one and kept in a folder, so that a study goes on where it stopped."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from kernelfit.errors import DataError, InputError
from kernelfit.report import json_output


class FinishedRows:
    """DIR/rows/NAME.json, one file a row, each written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "rows"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--out: {folder} cannot be written ({error.strerror}); name a folder that you may write to"
            ) from None
        if not os.access(self.folder, os.W_OK):
            raise InputError(f"--out: {self.folder} cannot be written; name a folder that you may write to")

    def read(self, name: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """The finished row `name`, or None. Raises `InputError` where it was computed with other parameters."""
        path = self.folder / f"{name}.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            found = dict(record["parameters"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: is no finished row ({type(error).__name__}: {error}); remove it to compute it again"
            ) from None
        wanted = json_output.plain(parameters)
        differing = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if differing:
            listed = ", ".join(f"{key} {found.get(key)}, not {wanted.get(key)}" for key in differing)
            raise InputError(
                f"--out: {path} was computed with {listed}; give the same options, or another folder"
            )
        return record

    def checkpoint(self, name: str) -> Path:
        """Where the row `name` may keep what it has so far, until it is finished."""
        return self.folder / f"{name}.unfinished.h5"

    def write(self, name: str, record: dict[str, Any]) -> None:
        """Keep a row that is finished, in place of its checkpoint."""
        json_output.write(record, self.folder / f"{name}.json")
        self.checkpoint(name).unlink(missing_ok=True)
