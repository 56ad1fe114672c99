"""iteration.h5: where an iteration is, written now and then, from which a killed run is resumed to the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelfit.storage import hdf5
from kernelfit.typing import Array

FORMAT = "kernelfit iteration"
VERSION = 1


def write(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Plain data; the file appears whole or stays as it was. Raises `StorageError`."""
    hdf5.write(path, form=FORMAT, version=VERSION, meta=meta, arrays=arrays)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `write` wrote; raises `DataError` where the file is damaged."""
    return hdf5.read(
        path,
        lambda meta, arrays: (meta, arrays),
        form=FORMAT,
        version=VERSION,
        remedy="remove it, and the iteration begins again",
    )
