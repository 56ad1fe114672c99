"""CSV files of numbers: one row a line, one column the label.

The delimiter is a comma, a semicolon or a tab, whichever the first line has most of. The first line is a
header when none of its cells is a number, or when one of its cells is a name and the cell below a number. A cell
that stands for a missing value is no name: such a line is a row, and refused as one. The label is the column called
label, target or y (in this order of preference, whatever the case), otherwise the last one.
"""

from __future__ import annotations

import csv
from itertools import islice
from pathlib import Path

import numpy as np

from .faults import damaged, reading
from .rows import Rows, check_finite, text_labels

_LABEL_NAMES = ("label", "target", "y")
_DELIMITERS = (",", ";", "\t")
_MISSING = ("", "?", "-", "na", "n/a", "null", "none")


def read_csv(path: Path) -> tuple[Rows, None]:
    """Read X (n, d) float64 and the label column y (n,) float64. Raises DataError naming line and column."""
    with reading(path, "a CSV file of numbers"):
        delimiter, first, second = _first_lines(path)
        header = _is_header(first, second)
        n_columns = len(first)
        names = tuple(first) if header else tuple(str(index) for index in range(n_columns))
        if n_columns < 2:
            raise damaged(path, "at least 2 columns, features and label", f"{n_columns} in the first line")
        if header and not second:
            raise damaged(path, "rows under the header", "none")
        label = _label_column(names) if header else n_columns - 1
        try:
            # An absolute path: NumPy would take some relative ones for addresses on the network.
            table = np.loadtxt(
                str(path.resolve()),
                delimiter=delimiter,
                comments=None,
                quotechar='"',
                skiprows=_lines_to_skip(path) if header else 0,
                ndmin=2,
                encoding="utf-8-sig",
            )
        except ValueError as error:
            _explain(path, delimiter, names, label, header)
            raise damaged(path, "numbers in every cell", str(error)) from error
    if table.shape[1] != n_columns:
        raise damaged(path, f"{n_columns} columns as in the first line", f"{table.shape[1]}")
    X = np.delete(table, label, axis=1)
    y = table[:, label].copy()
    check_finite(path, X, "the features", names[:label] + names[label + 1 :])
    check_finite(path, y[:, None], "the labels", (names[label],))
    return Rows(path, X, y, label_name=repr(names[label])), None


def layout(path: Path) -> tuple[str, int]:
    """The delimiter, and how many lines stand before the first row. Raises DataError where there is none."""
    with reading(path, "a CSV file of numbers"):
        delimiter, first, second = _first_lines(path)
        return delimiter, _lines_to_skip(path) if _is_header(first, second) else 0


def _first_lines(path: Path) -> tuple[str, list[str], list[str]]:
    """The delimiter and the cells of the first two lines that are not blank."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(islice((line for line in stream if line.strip()), 2))
    if not lines:
        raise damaged(path, "rows of numbers", "an empty file")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    return delimiter, rows[0], rows[1] if len(rows) > 1 else []


def _lines_to_skip(path: Path) -> int:
    """Lines up to and with the header; blank ones may stand before it."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return next(number for number, line in enumerate(stream, start=1) if line.strip())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_name(cell: str) -> bool:
    return not _is_number(cell) and cell.lower() not in _MISSING


def _is_header(first: list[str], second: list[str]) -> bool:
    if not any(_is_number(cell) for cell in first):
        return True
    return any(_is_name(top) and _is_number(below) for top, below in zip(first, second, strict=False))


def _label_column(names: tuple[str, ...]) -> int:
    lowered = [name.lower() for name in names]
    for name in _LABEL_NAMES:
        if name in lowered:
            return lowered.index(name)
    return len(names) - 1


def _explain(path: Path, delimiter: str, names: tuple[str, ...], label: int, header: bool) -> None:
    """Find the first line that is not a row of numbers and raise the DataError that names it."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        rows = (row for row in reader if row)
        for row in islice(rows, 1 if header else 0, None):
            where = f"line {reader.line_num}"
            if len(row) != len(names):
                raise damaged(path, f"{len(names)} columns as in the first line", f"{len(row)} in {where}")
            for column, cell in enumerate(row):
                if _is_number(cell):
                    continue
                shown = repr(cell[:40]) if cell.strip() else "an empty cell"
                if column == label and cell.strip():
                    raise text_labels(path, repr(names[column]), f" ({shown} in {where})")
                raise damaged(
                    path, f"a number in column {names[column]!r}", f"{shown} in {where}", "encode or drop it"
                )
