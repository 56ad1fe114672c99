"""Rows to predict: whatever training rows are read from, with or without labels, and plain arrays."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from tokenize import TokenError

import numpy as np

from kernelfit.errors import DataError, InputError
from kernelfit.typing import Array

from .csv import layout_of, read_columns
from .hdf5 import read_hdf5
from .npz import read_npz
from .own import TABLES, read_parts
from .rows import Rows


def read_rows(path: Path, columns: tuple[str, ...] | None = None, target: str | None = None) -> Rows:
    """Rows (m, d) of an NPY, CSV, NPZ or HDF5 file or a folder, and their labels where they have some.

    `columns` are the names of the features that were trained on, `target` that of the label: the columns of a CSV file
    are found by them, whatever their order. Of a file with a training and a test part the test part is taken.
    Raises InputError for what is no such file, DataError for a file that is not what it claims.
    """
    if not path.exists():
        raise InputError(f"rows: got {path}, which is no file; give rows as NPY, CSV, NPZ, HDF5 or a folder")
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return Rows(path, _array(path), np.empty((0, 0)))
    if suffix in TABLES:
        if columns is None:
            columns = tuple(str(index) for index in range(len(layout_of(path).first)))
        return read_columns(path, columns, target)
    if suffix == ".npz":
        rows, test = read_npz(path, unlabelled=True)
    elif suffix in (".h5", ".hdf5"):
        rows, test = read_hdf5(path, unlabelled=True)
    else:
        rows, test = read_parts(path, "rows")
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
    if values.ndim and not len(values):
        raise DataError(f"{path}: has no rows, shape {values.shape}; expected one or more")
    return values.reshape(len(values), -1) if values.ndim > 2 else values
