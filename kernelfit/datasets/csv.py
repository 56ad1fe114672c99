"""CSV files of numbers: one row a line, one column the label.

The delimiter is a comma, a semicolon or a tab, whichever the first line has most of. The first line is a
header when none of its cells is a number, or when one of its cells is a name and the cell below a number. A cell
that stands for a missing value is no name: such a line is a row, and refused as one. The label is the column called
label, target or y (in this order of preference, whatever the case), otherwise the last one. A first column that
counts the rows, without a name as pandas' `to_csv` writes it or called id or index, is no feature.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NoReturn

import numpy as np

from kernelfit.typing import Array

from .faults import damaged, reading
from .rows import Rows, check_finite, text_labels

_LABEL_NAMES = ("label", "target", "y")
_ID_NAMES = ("id", "index", "unnamed: 0", "")
_DELIMITERS = (",", ";", "\t")
_MISSING = ("", "?", "-", "na", "n/a", "null", "none")


@dataclass(frozen=True)
class Layout:
    """How a file is written: its delimiter, the cells of its first line, whether these are names, and the lines before
    the first row."""

    path: Path
    delimiter: str
    first: tuple[str, ...]
    header: bool
    skip: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns: those of the header, else 0, 1, 2, ..."""
        return self.first if self.header else tuple(str(index) for index in range(len(self.first)))

    def numbers(self, columns: Sequence[int], label: int | None) -> Array:
        """Some columns of every row (n, k) float64, or a DataError that names the cell which is no number."""
        try:
            # An absolute path: NumPy would take some relative ones for addresses on the network.
            table: Array = np.loadtxt(
                str(self.path.resolve()),
                delimiter=self.delimiter,
                comments=None,
                quotechar='"',
                skiprows=self.skip,
                ndmin=2,
                encoding="utf-8-sig",
            )
        except ValueError as error:
            self._explain(columns, label)
            if set(columns) == set(range(len(self.first))):
                raise damaged(self.path, "numbers in every cell", str(error)) from error
            table = self._some_numbers(columns)
            return table
        if table.shape[1] != len(self.first):
            raise damaged(self.path, f"{len(self.first)} columns as in the first line", f"{table.shape[1]}")
        return table[:, list(columns)]

    def text(self, column: int) -> tuple[str, ...]:
        """One column of every row as it stands in the file."""
        return tuple(row[column].strip() for _, row in self._rows())

    def _some_numbers(self, columns: Sequence[int]) -> Array:
        rows = [[float(row[column]) for column in columns] for _, row in self._rows()]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(columns))

    def _rows(self) -> list[tuple[int, list[str]]]:
        """Every row with the line it ends on."""
        with self.path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=self.delimiter)
            numbered = [(reader.line_num, row) for row in reader if row]
        return numbered[1:] if self.header else numbered

    def _explain(self, columns: Sequence[int], label: int | None) -> None:
        """Find the first line that is not a row of numbers and raise the DataError that names it."""
        wanted = set(columns)
        for line, row in self._rows():
            if len(row) != len(self.first):
                raise damaged(
                    self.path,
                    f"{len(self.first)} columns as in the first line",
                    f"{len(row)} in line {line}",
                )
            for column, cell in enumerate(row):
                if column in wanted and not _is_number(cell):
                    self._refuse(cell, column, f"line {line}", label)

    def _refuse(self, cell: str, column: int, where: str, label: int | None) -> NoReturn:
        name = repr(self.names[column])
        shown = repr(cell[:40]) if cell.strip() else "an empty cell"
        if column == label and cell.strip():
            raise text_labels(self.path, name, f" ({shown} in {where})")
        raise damaged(self.path, f"a number in column {name}", f"{shown} in {where}", "encode or drop it")


def read_csv(path: Path, like: Rows | None = None) -> tuple[Rows, None]:
    """Read X (n, d) float64 and the label column y (n,) float64. Raises DataError naming line and column.

    With `like`, the columns are those of these rows, by their names.
    """
    with reading(path, "a CSV file of numbers"):
        layout = layout_of(path)
        names = layout.names
        if len(names) < 2:
            raise damaged(path, "at least 2 columns, features and label", f"{len(names)} in the first line")
        if like is not None and like.columns is not None:
            rows = read_columns(path, like.columns, like.target)
            if not rows.labelled:
                raise damaged(path, f"the label column {like.target!r} as in {like.path.name}", "none")
            return rows, None
        label = _label_column(names) if layout.header else len(names) - 1
        table = layout.numbers(range(len(names)), label)
    features = [column for column in range(len(names)) if column != label]
    notes = [f"{path.name}: the label is column {names[label]!r}"]
    if len(features) > 1 and features[0] == 0 and _counts_rows(layout, table[:, 0]):
        features = features[1:]
        notes.append(f"{path.name}: the first column counts the rows and is left out")
    columns = tuple(names[column] for column in features)
    return _rows(path, table[:, features], table[:, label], columns, names[label], notes), None


def read_columns(path: Path, columns: tuple[str, ...], target: str | None) -> Rows:
    """Rows whose features are `columns` in this order, found by their names; y where there is a column `target` too.

    Without a header, columns are taken in their order. Others are left aside, with a note, one that is called id or
    index is taken as such. Raises DataError where one is missing.
    """
    with reading(path, "a CSV file of numbers"):
        layout = layout_of(path)
        names, notes = layout.names, []
        positional = columns == tuple(str(index) for index in range(len(columns)))
        if layout.header and not positional:
            features, label = _by_name(path, names, columns, target)
        else:
            features, label = _by_position(path, len(names), len(columns), positional)
            if layout.header != (not positional):
                notes.append(f"{path.name}: columns are taken in their order, as names are in one file alone")
        wanted = features if label is None else [*features, label]
        table = layout.numbers(wanted, label)
    others = [column for column in range(len(names)) if column not in wanted]
    ids = next((column for column in others if names[column].lower() in _ID_NAMES), None)
    aside = [names[column] for column in others if column != ids]
    if aside:
        notes.append(f"{path.name}: columns left aside, which the training rows lack: {', '.join(aside)}")
    X, y = table[:, : len(features)], None if label is None else table[:, -1]
    return _rows(path, X, y, columns, target, notes, None if ids is None else layout.text(ids))


def _by_name(
    path: Path, names: tuple[str, ...], columns: tuple[str, ...], target: str | None
) -> tuple[list[int], int | None]:
    missing = [name for name in columns if name not in names]
    if missing:
        raise damaged(
            path, f"the columns that were trained on, {', '.join(columns)}", f"no {', '.join(missing)}"
        )
    label = names.index(target) if target is not None and target in names else None
    if len(set(columns)) == len(columns) and all(names.count(name) == 1 for name in columns):
        return [names.index(name) for name in columns], label
    # Names that occur twice say nothing: then their order has to be the same.
    features = [column for column in range(len(names)) if column != label]
    if tuple(names[column] for column in features) != columns:
        raise damaged(
            path, f"the columns {', '.join(columns)}, of which some have one name", ", ".join(names)
        )
    return features, label


def _by_position(path: Path, count: int, d: int, with_label: bool) -> tuple[list[int], int | None]:
    if count != d and not (with_label and count == d + 1):
        raise damaged(path, f"{d} columns, those that were trained on", f"{count}")
    return list(range(d)), d if count == d + 1 else None


def _rows(
    path: Path,
    X: Array,
    y: Array | None,
    columns: tuple[str, ...],
    target: str | None,
    notes: list[str],
    ids: tuple[str, ...] | None = None,
) -> Rows:
    check_finite(path, X, "the features", columns)
    if y is not None:
        check_finite(path, y[:, None], "the labels", (str(target),))
    return Rows(
        path,
        np.ascontiguousarray(X),
        np.empty((len(X), 0)) if y is None else y.copy(),
        label_name=repr(target),
        notes=tuple(notes),
        columns=columns,
        target=target,
        ids=ids,
    )


def _counts_rows(layout: Layout, column: Array) -> bool:
    return (
        layout.header
        and layout.first[0].lower() in _ID_NAMES
        and column[0] in (0, 1)
        and np.array_equal(column, column[0] + np.arange(len(column)))
    )


def layout_of(path: Path) -> Layout:
    """How the file is written. Raises DataError where it is empty, or a header alone."""
    with reading(path, "a CSV file of numbers"):
        delimiter, first, second = _first_lines(path)
    header = _is_header(first, second)
    if header and not second:
        raise damaged(path, "rows under the header", "none")
    return Layout(path, delimiter, tuple(first), header, _lines_to_skip(path) if header else 0)


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
