"""Rows of a table that are computed one by one and stored in a folder, so that a study resumes where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kernelfit.errors import DataError, InputError
from kernelfit.experiments.run_dir import not_writable
from kernelfit.runs.folder import ROWS
from kernelfit.storage import json_output
from kernelfit.storage.folders import require_writable


class FinishedRows:
    """DIR/rows/NAME.json, one file a row, each written whole or not at all."""

    def __init__(self, out: Path) -> None:
        self.folder = out / ROWS
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            require_writable(self.folder)
        except OSError as error:
            raise not_writable("out", out, error) from None

    def read(self, name: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """The finished row `name`, or None. Raises `InputError` where it was computed with other parameters."""
        path = self.folder / f"{name}.json"
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            there = dict(record["parameters"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: is no finished row ({type(error).__name__}: {error}); remove it to compute it again"
            ) from None
        wanted = json_output.plain(parameters)
        differing = sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key))
        if differing and there.keys().isdisjoint(differing):
            raise InputError(
                f"out: {path} does not say for which {', '.join(differing)} it was computed, as where an earlier "
                "version stored it; remove it to compute it again, or give another folder"
            )
        if differing:
            listed = ", ".join(f"{key} {there.get(key)}, not {wanted.get(key)}" for key in differing)
            raise InputError(
                f"out: {path} was computed with {listed}; give the same options, or another folder"
            )
        return record

    def checkpoint(self, name: str) -> Path:
        """Where the row `name` may store what it has so far, until it is finished."""
        return self.folder / f"{name}.unfinished.h5"

    def write(self, name: str, record: dict[str, Any]) -> None:
        """Store a row that is finished, in place of its checkpoint."""
        json_output.write(record, self.folder / f"{name}.json")
        self.checkpoint(name).unlink(missing_ok=True)
