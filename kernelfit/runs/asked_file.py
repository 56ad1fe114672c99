"""asked.json: what a folder with sums of features was asked for, until run.h5 says it.

The sums may be of another command's making, and remember only that one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelfit.errors import DataError
from kernelfit.runs.folder import ASKED
from kernelfit.storage import json_output
from kernelfit.storage.atomic import storage_error
from kernelfit.storage.regular import open_regular

_GIVEN_UP = "given_up"


def write(folder: Path, remembered: Mapping[str, Any]) -> None:
    """Put what `kernelfit.solve` is to be given as `remember` into a folder. Raises `StorageError`."""
    json_output.write(dict(remembered), folder / ASKED)


def read(folder: Path) -> dict[str, Any] | None:
    """What `write` wrote; None where it is not there. Raises `DataError`, and `StorageError` where it is no regular
    file."""
    path = folder / ASKED
    if not os.path.lexists(path):
        return None
    with os.fdopen(open_regular(path, os.O_RDONLY, "read"), "rb") as file:
        try:
            remembered = json.loads(file.read().decode("utf-8"))
        except OSError as error:
            raise storage_error("read", path, error) from None
        except (ValueError, RecursionError) as error:
            remembered = str(error).splitlines()[0]
    if not isinstance(remembered, dict) or not isinstance(remembered.get("experiment"), dict):
        raise DataError(
            f"{path}: does not say what the folder is to hold a run of; start again in another folder"
        )
    return remembered


def give_up(folder: Path) -> None:
    """Let another experiment have the sums: this one has no solution."""
    remembered = read(folder)
    if remembered is not None:
        write(folder, {**remembered, _GIVEN_UP: True})


def is_given_up(remembered: Mapping[str, Any]) -> bool:
    return bool(remembered.get(_GIVEN_UP))


def remove(folder: Path) -> None:
    """Take it away, once run.h5 says the same."""
    (folder / ASKED).unlink(missing_ok=True)
