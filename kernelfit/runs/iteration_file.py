"""iteration.h5: where an iteration is, written now and then, from which a killed run is resumed to the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelfit.errors import DataError
from kernelfit.storage import hdf5
from kernelfit.typing import Array

FORMAT = "kernelfit iteration"
# Of the iteration itself: what one of another version left off is no state of this one, whose bits are others.
VERSION = 5
_KEY = "version"


def write(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Plain data; the file appears whole or stays as it was. Raises `StorageError`."""
    hdf5.write(path, form=FORMAT, version=VERSION, meta={**meta, _KEY: VERSION}, arrays=arrays)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `write` wrote; raises `DataError` where the file is damaged, or of another version of the iteration."""
    meta, arrays = hdf5.read(
        path,
        lambda meta, arrays: (meta, arrays),
        form=FORMAT,
        version=VERSION,
        remedy="remove it, and the iteration begins again",
    )
    version = meta.pop(_KEY, 1)
    if version != VERSION:
        raise DataError(f"{path}: is of version {version!r} of the iteration, expected {VERSION}")
    return meta, arrays
