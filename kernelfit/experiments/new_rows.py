"""Rows to predict, read from a file."""

from __future__ import annotations

import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np

from kernelfit.datasets import csv
from kernelfit.errors import DataError, InputError, KernelfitError
from kernelfit.typing import Array


def read_rows(path: Path) -> Array:
    """Rows (m, d) from an NPY file or from a CSV file of numbers, with or without one header line."""
    if not path.is_file():
        raise InputError(f"rows: {path} is no file; give an NPY or CSV file of rows")
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            # Mapped, so that a header that claims more than the file holds is refused before memory is taken.
            values: Array = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        elif suffix in (".csv", ".tsv", ".txt"):
            values = _read_numbers(path)
        else:
            raise InputError(f"rows: got {path}, expected a name ending in .npy or .csv")
    except KernelfitError:
        raise
    except (OSError, ValueError, TypeError, EOFError, ArithmeticError, SyntaxError, TokenError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: cannot be read as rows of numbers ({reason}); expected one row a line"
        ) from None
    if values.ndim and not len(values):
        raise DataError(f"{path}: has no rows, shape {values.shape}; expected one or more")
    return values.reshape(len(values), -1) if values.ndim > 2 else values


def _read_numbers(path: Path) -> Array:
    delimiter, before = csv.layout(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there are no rows is said below
        values = np.loadtxt(
            path, delimiter=delimiter, quotechar='"', skiprows=before, ndmin=2, encoding="utf-8-sig"
        )
    if not values.size:
        raise ValueError("it has no rows")
    return values
