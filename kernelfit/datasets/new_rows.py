"""Rows to predict: whatever training rows are read from, with or without labels, and plain arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError

import numpy as np

from kernelfit.arguments import at_home
from kernelfit.errors import DataError, InputError
from kernelfit.typing import Array

from .faults import refuse_pointer
from .file_options import FileOptions
from .image_folder import is_plain_folder, read_images
from .own import ARRAYS, read_parts
from .rows import Rows, check_type, make_rows
from .table import is_table, read_columns
from .table_columns import TableColumns


def read_rows(
    path: Path,
    like: TableColumns | None = None,
    keys: Mapping[str, str] | None = None,
    width: int | None = None,
) -> Rows:
    """Rows (m, d) of an NPY file, a table, an NPZ or HDF5 file or a folder, and their labels where they have some.

    `like` are the columns that were trained on: those of a table are found by their names, whatever their order. `keys`
    are the arrays of an NPZ or HDF5 file, where it has them; `width` is how many columns a table has without `like`.
    Of a file with a training and a test part the test part is taken. Raises InputError for what is no such file,
    DataError for a file that is not what it claims.
    """
    path = at_home(path)
    if not path.exists():
        raise InputError(f"rows: got {path}, which is no file; give rows as NPY, CSV, NPZ, HDF5 or a folder")
    if path.is_file():
        refuse_pointer(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _rows(path, _array(path))
    if path.is_file() and is_table(path):
        return read_columns(path, like, width)
    if is_plain_folder(path):
        return read_images(path)
    if path.is_file() and suffix in ARRAYS:
        rows, test = ARRAYS[suffix](path, keys or {}, "rows")
    else:
        rows, test = read_parts(path, "rows", FileOptions())
    if test is None:
        return rows
    return dataclasses.replace(test, notes=(*test.notes, f"{path.name}: its test part is predicted"))


def _array(path: Path) -> Array:
    try:
        # Mapped, so that a header that claims more than the file holds is refused before memory is taken.
        values: Array = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, TypeError, EOFError, ArithmeticError, SyntaxError, TokenError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: cannot be read as rows of numbers ({reason}); expected one row a line"
        ) from None
    check_type(path, "the array", values.dtype)
    if values.ndim and not len(values):
        raise DataError(f"{path}: has no rows, shape {values.shape}; expected one or more")
    return values


def _rows(path: Path, values: Array) -> Rows:
    """Rows of numbers as they stand; images (m, h, w), (m, h, w, c) or (m, c, h, w) as those of other files."""
    if values.ndim > 2:
        return make_rows(path, values, None, "the array", "y", gaps=False)
    return Rows(path, values, np.empty((0, 0)))
