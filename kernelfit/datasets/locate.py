"""Where the files of a data set lie: `data_dir`, then $KERNELFIT_DATA, then the cache folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from kernelfit.arguments import at_home
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
            folder = at_home(value)
            if not folder.is_dir():
                raise InputError(f"{label}: got {folder}, expected a folder that exists")
            named.append(folder)
    yield from named
    yield cache_folder()


def locate(spec: Spec, data_dir: Path | None = None) -> Located | None:
    """The first complete set of files of `spec`, or None; see `present` for how they may be called."""
    return next(filter(None, (locate_in(root, spec) for root in _in_turn(data_dir))), None)


def locate_in(root: Path, spec: Spec) -> Located | None:
    """The files of `spec` below one folder, or None."""
    for layout in spec.layouts:
        for folder in layout.folders:
            paths = [present(root / folder, name) for name in layout.files]
            files = tuple(path for path in paths if path is not None)
            if len(files) == len(paths):
                return Located(layout, files)
    return None


def present(folder: Path, name: str) -> Path | None:
    """The file `name` as it may lie in `folder`: zipped or not, and IDX files with a dot in their names.

    `train-images-idx3-ubyte.gz` may be there as `train-images-idx3-ubyte`, `train-images.idx3-ubyte.gz` or
    `train-images.idx3-ubyte`.
    """
    for spelling in (name, name.replace("-idx", ".idx")):
        for candidate in (spelling, spelling.removesuffix(".gz"), f"{spelling}.gz"):
            path = folder / candidate
            try:
                if path.is_file():
                    return path
            except OSError as error:
                raise DataError(
                    f"{path}: cannot be looked at ({error.strerror}); give read permission"
                ) from error
    return None
