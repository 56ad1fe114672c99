"""What every reader of the user's files returns: rows of numbers with their raw labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError
from kernelfit.typing import Array

from .categories import listed
from .cells import composed, is_missing
from .faults import damaged
from .table_columns import TableColumns

ImageShape = tuple[int, int, int]

# Rows examined at a time for NaN and infinity, so that no second array of the size of X is made.
_BLOCK_ROWS = 4096
# Integers that float64 holds exactly go up to here.
_LARGEST_EXACT = 2**53


@dataclass(frozen=True)
class Rows:
    """One part of a file: X (n, d) of uint8, float32 or float64, and y as it stands in the file.

    `class_names` is given when the file names its classes; y then holds their indices. `label_name` is what
    the file calls its labels. `columns` are those of a table. Without labels y is (n, 0). `ids` are what the file calls
    its rows, `id_name` what it calls their column, `lines` those of a text file that the rows stand in. `of_file` tells
    which of the file's rows these are, where some are left out or they stand in another order.
    """

    path: Path
    X: Array
    y: Array
    image_shape: ImageShape | None = None
    class_names: tuple[str, ...] | None = None
    label_name: str = "y"
    notes: tuple[str, ...] = ()
    columns: TableColumns | None = None
    ids: tuple[str, ...] | None = None
    id_name: str = ""
    lines: Sequence[int] | None = None
    of_file: NDArray[np.int64] | None = None

    @property
    def labelled(self) -> bool:
        """Whether there are labels."""
        return self.y.size > 0


def make_rows(path: Path, X: Array, y: Array | None, X_name: str, y_name: str, *, gaps: bool = True) -> Rows:
    """Bring arrays from a file into the form of `Rows`, or raise a DataError that names what is wrong.

    X may be (n, d), images (n, height, width) or (n, height, width, channels); images with their channels
    first are turned, with a note. y may be (n,), (n, 1), for several targets (n, k), or None. Without `gaps` a NaN is a
    value or a label that is missing, and no fault.
    """
    check_type(path, X_name, X.dtype)
    if y is not None:
        check_type(path, y_name, y.dtype, labels=True)
    if X.ndim not in (2, 3, 4) or X.size == 0:
        raise damaged(path, f"{X_name} of shape (n, d), (n, h, w) or (n, h, w, c)", f"shape {X.shape}")
    if y is not None and (y.ndim not in (1, 2) or len(y) != len(X) or y.size == 0):
        # A column of X, or the last axis of images, for each label.
        across = y.ndim > 0 and len(y) in X.shape[1:]
        remedy = (
            f"{X_name} has shape {X.shape}: turn it, its first axis being that of the rows" if across else ""
        )
        raise damaged(path, f"{y_name} with {len(X)} rows like {X_name}", f"shape {y.shape}", remedy)
    class_names, notes = None, tuple[str, ...]()
    if y is not None and y.dtype.kind in "US":
        y, class_names, notes = _text_labels(path, y, y_name, gaps=gaps)
    image_shape: ImageShape | None = None
    if X.ndim == 3:
        X = X[..., None]
    if X.ndim == 4:
        if X.shape[3] > 4 >= X.shape[1]:
            turned = f"{path.name}: {X_name} has shape {X.shape}, read as (n, channels, height, width)"
            notes = (turned, *notes)
            X = X.transpose(0, 2, 3, 1)
        image_shape = (X.shape[1], X.shape[2], X.shape[3])
    refuse_rounding(path, X, X_name)
    X = np.ascontiguousarray(working_type(X)).reshape(len(X), -1)
    check_finite(path, X, X_name, gaps=gaps)
    if y is None:
        y = np.empty((len(X), 0))
    check_finite(path, y.reshape(len(X), -1), y_name, gaps=gaps)
    return Rows(path, X, y, image_shape, class_names, y_name, notes)


def _text_labels(
    path: Path, y: Array, name: str, *, gaps: bool
) -> tuple[NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """Codes, names, and a note of those that may stand for missing labels, such as NumPy's text of NaN and None; an
    empty one is a fault where `gaps` are."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise damaged(path, f"one label a row in {name}", f"text of shape {y.shape}")
    try:
        codes, names = named_classes(y.reshape(-1))
    except UnicodeDecodeError as error:
        raise no_text(path, name, error) from None
    if gaps and "" in names:
        empty = np.flatnonzero(codes == names.index(""))
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise damaged(
            path,
            f"a label in every row of {name}",
            f"an empty one in row {empty[0]} (counted from 0){more}",
            "fill it, or leave out the row",
        )
    absent = [called for called in names if called and is_missing(called)]
    note = f"{path.name}: taken as classes, not as missing labels: {listed(absent)}"
    return codes, names, (note,) if absent else ()


def check_type(path: Path, name: str, dtype: np.dtype[np.generic], *, labels: bool = False) -> None:
    """Raise DataError unless `dtype` is boolean, integer or real of at most 8 bytes; labels may be text."""
    if dtype.kind in "biuf" and dtype.itemsize <= 8:
        return
    if labels and dtype.kind in "US":
        return
    remedy = "convert it to float64"
    if dtype.kind == "O":
        text = "text as np.asarray(y, dtype=str), numbers as float64, a sparse matrix as X.toarray()"
        remedy = f"such arrays are pickled, which runs code when read; store {text}"
    raise damaged(path, f"numbers in {name}", f"dtype {dtype}", remedy)


def no_text(path: Path, name: str, error: UnicodeDecodeError) -> DataError:
    """The error for labels that are bytes of another encoding than UTF-8."""
    found = f"the byte 0x{error.object[error.start]:02x} in {error.object.decode('utf-8', 'replace')[:40]!r}"
    return damaged(path, f"text as UTF-8 in {name}", found, "store it as np.asarray(y, dtype=str)")


def named_classes(labels: Array) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Indices (n,) and names, in the order of the letters, of labels that are text (n,), bytes as UTF-8."""
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    spelt, codes = np.unique(np.char.strip(labels), return_inverse=True)
    names, alike = np.unique([composed(str(name)) for name in spelt], return_inverse=True)
    return alike[codes].astype(np.int64), tuple(str(name) for name in names)


def refuse_rounding(path: Path, X: Array, name: str) -> None:
    """Raise DataError where float64 does not hold the integers of X, or of targets."""
    if X.dtype.kind not in "iu" or X.dtype.itemsize < 8:
        return
    for value in X[np.abs(X.astype(np.float64)) >= _LARGEST_EXACT].tolist():
        if int(float(value)) != value:
            raise damaged(
                path, f"integers up to 2^53 in {name}, as float64 holds", f"{value}", "subtract an offset"
            )


def working_type(X: Array) -> Array:
    """X in the smallest of uint8, float32 and float64 that holds its type exactly (64-bit integers round)."""
    if X.dtype == np.uint8:
        return X
    small = X.dtype.kind == "b" or X.dtype.itemsize <= (4 if X.dtype.kind == "f" else 2)
    return X.astype(np.float32 if small else np.float64, copy=False)


def check_finite(path: Path, X: Array, name: str, *, gaps: bool) -> None:
    """Raise DataError naming the first row and column of X (n, d) that is infinite, or with `gaps` NaN."""
    if X.dtype.kind != "f":
        return
    for start in range(0, len(X), _BLOCK_ROWS):
        block = X[start : start + _BLOCK_ROWS]
        finite = np.isfinite(block) if gaps else ~np.isinf(block)
        if not finite.all():
            row, column = (int(index) for index in np.argwhere(~finite)[0])
            raise damaged(
                path,
                f"finite numbers in {name}",
                f"{block[row, column]} in row {start + row}, column {column} (counted from 0)",
                "fill or drop it",
            )


def values_in(shape: tuple[int, ...]) -> int:
    """Number of values in an array, in Python's unbounded integers."""
    return math.prod(int(size) for size in shape)
