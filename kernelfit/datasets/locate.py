"""Where the files of a data set lie: `data_dir`, then $KERNELFIT_DATA, then the cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kernelfit.errors import DataError, InputError

from .spec import Located, Spec

VARIABLE = "KERNELFIT_DATA"


def cache_folder() -> Path:
    """Where downloads go when the user names no folder."""
    import pooch

    return Path(pooch.os_cache("kernelfit"))


def data_folders(data_dir: Path | None) -> list[Path]:
    """The folders to search, in order. Raises InputError for a named folder that is none."""
    return list(_in_turn(data_dir))


def _in_turn(data_dir: Path | None) -> Iterator[Path]:
    """The named folders, then the cache; what tells where that is, is asked only when its turn comes."""
    named: list[Path] = []
    variable = os.environ.get(VARIABLE)
    for label, value in (("data_dir", data_dir), (f"${VARIABLE}", variable)):
        if value:
            folder = Path(value).expanduser()
            if not folder.is_dir():
                raise InputError(f"{label}: got {folder}, expected a folder that exists")
            named.append(folder)
    yield from named
    yield cache_folder()


def locate(spec: Spec, data_dir: Path | None = None) -> Located | None:
    """The first complete set of files of `spec`, or None. A file may be there as `X.gz` or as `X`."""
    for root in _in_turn(data_dir):
        for layout in spec.layouts:
            for folder in layout.folders:
                paths = [_present(root / folder, name) for name in layout.files]
                found = tuple(path for path in paths if path is not None)
                if len(found) == len(paths):
                    return Located(layout, found)
    return None


def _present(folder: Path, name: str) -> Path | None:
    for candidate in (name, name.removesuffix(".gz"), f"{name}.gz"):
        path = folder / candidate
        try:
            if path.is_file():
                return path
        except OSError as error:
            raise DataError(
                f"{path}: cannot be looked at ({error.strerror}); give read permission"
            ) from error
    return None
