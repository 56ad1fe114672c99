"""solution.h5: a solution as plain arrays and JSON text, nothing that runs when it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from kernelfit.storage import hdf5
from kernelfit.typing import Array

FORMAT = "kernelfit solution"
VERSION = 1

Built = TypeVar("Built")


def write(
    path: Path,
    meta: Mapping[str, Any],
    arrays: Mapping[str, Array],
    seal: Callable[[str], None] | None = None,
) -> None:
    """Write what a solution consists of; `seal` gets the file's digest before the file takes its name."""
    hdf5.write(path, form=FORMAT, version=VERSION, meta=meta, arrays=arrays, seal=seal)


def read(path: Path, build: Callable[[dict[str, Any], dict[str, Array]], Built]) -> Built:
    """What `build` makes of the meta and arrays of a file that `write` wrote; raises `DataError` where it cannot."""
    return hdf5.read(
        path,
        build,
        form=FORMAT,
        version=VERSION,
        remedy="write it with Solution.save or solve --out, or use another copy",
    )
