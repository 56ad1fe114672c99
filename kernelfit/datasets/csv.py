"""Tables as text: CSV and its relatives, one row a line.

The delimiter is the comma, semicolon, tab, bar or run of blanks that cuts the first lines into equally many cells, most
of them numbers. `kernelfit.datasets.header` tells whether the first line is a header.
"""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernelfit.typing import Float

from . import svmlight
from .cells import LARGEST_EXACT, Cells, Faults, Kind, is_missing, is_number, looks_grouped, points_may_group
from .faults import Fault, damaged, damaged_by, reading
from .header import holds_names
from .table_columns import TableColumns
from .text_file import TextFile, open_text

_DELIMITERS = (",", ";", "\t", "|", " ")
# One that parts no thousands, as 1\u00a0234 does.
_BLANKS = re.compile(r"\s+", re.ASCII)
# Lines that the delimiter and the header are told by.
_SAMPLE = 32
# Lines above a table that are looked for, to name them.
_MOST_TITLES = 8
# Numbers examined at a time, so that no second array of the size of X is made.
_NUMBERS = 2**20
# Columns that a note lists.
_LISTED = 8
# 0 before another digit in the first cell of a line.
_FIRST_CODE = re.compile(r'[ "]*0[0-9]')


@dataclass(frozen=True)
class TextTable:
    """How a text file is a table: its delimiter, the names of its columns, whether these are a header of `skip` lines.

    `trailing` is whether every line ends in a delimiter, `blank_rows` whether lines of nothing but delimiters are rows;
    `excluded` are rows of the file, counted from 0, that are passed over.
    """

    file: TextFile
    delimiter: str
    names: tuple[str, ...]
    named: bool
    skip: int
    trailing: bool = False
    notes: tuple[str, ...] = ()
    decimal: str = "."
    blank_rows: bool = False
    excluded: frozenset[int] = frozenset()

    @property
    def path(self) -> Path:
        return self.file.path

    def read(self, numeric: Sequence[int], label: int | None = None, texts: Sequence[int] = ()) -> Cells:
        """Columns of numbers (n, k), the label, and columns as they stand, in one pass."""
        cells = self._read(numeric, label, texts)
        seen = {kind for faults in cells.faults.values() if not faults.get(Kind.TEXT) for kind in faults.seen}
        if self.decimal == "." and seen & {Kind.COMMA, Kind.AMBIGUOUS}:
            # Numbers read so far would be too many where the comma is the decimal one.
            return replace(self, decimal=",").read(numeric, label, texts)
        notes = list(self.notes)
        if self.decimal == ",":
            notes.append(f"{self.path.name}: commas are decimal commas")
        if self.file.comments[self.notes_of_comments :]:
            count = len(self.file.comments) - self.notes_of_comments
            lines, start, are = ("line", "starts", "is") if count == 1 else ("lines", "start", "are")
            notes.append(f"{self.path.name}: {count:,} comment {lines}, which {start} with #, {are} left out")
        # In a file of one column an empty line may stand for a missing value.
        if blank := self.file.blank + (self.file.empty if len(self.names) == 1 else 0):
            lines, are = ("line", "is") if blank == 1 else ("lines", "are")
            notes.append(f"{self.path.name}: {blank:,} {lines} without any value {are} left out")
        return replace(cells, notes=(*notes, *cells.notes))

    def without(self, rows: NDArray[np.int64]) -> TextTable:
        """The same as if the file had not these rows, which are counted from 0."""
        return replace(self, file=replace(self.file), excluded=frozenset(rows.tolist()))

    @property
    def row_names(self) -> None:
        """None: what names rows in a text is a column."""

    @property
    def notes_of_comments(self) -> int:
        """Comments that are no loss: the one that is the header."""
        return 1 if self.named and not self.skip else 0

    def _read(self, numeric: Sequence[int], label: int | None, texts: Sequence[int]) -> Cells:
        faults: dict[int, Faults] = {column: Faults() for column in numeric}
        values, numbers = array("d"), array("q")
        kept: dict[int, list[str]] = {column: [] for column in (*texts, *([] if label is None else [label]))}
        pick = _picker(numeric)
        plain = self.decimal == "."
        codes: dict[int, str] = {}
        ragged: list[tuple[int, list[str]]] = []
        blank: list[int] = []
        for number, row, strange, coded in self.rows(ragged):
            if not any(row):
                blank.append(len(numbers))
            numbers.append(number)
            picked = pick(row)
            for column, cells in kept.items():
                cells.append(row[column].strip())
            if label is not None and "\n" in row[label].strip():
                raise damaged(
                    self.path,
                    "a label of one line",
                    f"a line end in that of line {number}",
                    "mend its quotes",
                )
            if coded:
                _add_codes(codes, row, (*numeric, *(() if label is None else (label,))))
            if plain and not strange:
                try:
                    values.extend(list(map(float, picked)))
                    continue
                except ValueError:
                    pass
            for column, cell in zip(numeric, picked, strict=True):
                values.append(faults[column].value_of(cell, self.decimal, f"line {number}"))
        if ragged and not numbers:
            raise damaged_by(self.path, [self._ragged(ragged)])
        X = np.array(values, dtype=np.float64) if not numeric else np.frombuffer(values, dtype=np.float64)
        X = X.reshape(len(numbers), len(numeric))
        self._look_again(X, numeric, faults)
        labels = None if label is None else self._label(kept[label], numbers)
        if label is not None and labels is not None:
            faults[label] = labels[1]
        total = len(numbers) + len(self.excluded)
        left = np.delete(np.arange(total), list(self.excluded)) if self.excluded else None
        return Cells(
            numbers=X,
            faults=faults,
            label=None if labels is None else labels[0],
            label_texts=() if label is None else tuple(kept[label]),
            texts={column: tuple(kept[column]) for column in texts},
            decimal=self.decimal,
            lines=numbers,
            blank=blank,
            of_file=left,
            ragged=(self._ragged(ragged),) if ragged else (),
            notes=(
                *self._of_codes({c: code for c, code in codes.items() if not faults[c].get(Kind.TEXT)}),
                *self._of_points(X, numeric, label, kept),
            ),
        )

    def _ragged(self, rows: Sequence[tuple[int, list[str]]]) -> Fault:
        """Lines of more or fewer cells than there are columns."""
        shown = [f"{len(row)} in line {at}" for at, row in rows[:_LISTED]]
        more = f" and so on in {len(rows) - _LISTED} more" if len(rows) > _LISTED else ""
        sparse = svmlight.are_sparse([" ".join(row) for _, row in rows])
        return Fault(
            f"{len(self.names)} columns as in the first line",
            ", ".join(shown) + more,
            svmlight.REMEDY if sparse else f"mend the line{'s' if len(rows) > 1 else ''}",
        )

    def _of_codes(self, codes: dict[int, str]) -> tuple[str, ...]:
        """A note of the columns of numbers in which 0 stands before other digits, and of the first cell of each."""
        shown = [f"{self.names[column]} ({codes[column][:40]})" for column in sorted(codes)]
        more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
        said = f"{self.path.name}: numbers that begin with 0, as codes do, are taken as numbers: "
        return (said + ", ".join(shown[:_LISTED]) + more,) if codes else ()

    def _of_points(
        self, X: Float, numeric: Sequence[int], label: int | None, kept: dict[int, list[str]]
    ) -> tuple[str, ...]:
        """A note of the columns whose points may all separate thousands: 1.234 beside 950, or between semicolons."""
        if self.decimal != ".":
            return ()
        thousandths, integers = _thousandths(X)
        left = {column: "" for index, column in enumerate(numeric) if thousandths[index]}
        # Integers are told from round thousands by the first.
        whole = {column for index, column in enumerate(numeric) if integers[index]}
        plain: set[int] = set()
        if label is not None and all(map(points_may_group, kept[label])):
            left[label] = next((cell for cell in kept[label] if "." in cell), "")
            plain = {label} if any("." not in cell for cell in kept[label]) else plain
        # Left early, it would leave the counts of the file's lines unfinished.
        again = replace(self, file=replace(self.file))
        for _, row, _, _ in again.rows([]) if left.keys() - {label} else ():
            for column in left.keys() - {label}:
                pointed = "." in row[column]
                if not points_may_group(row[column]) or (column in whole and not pointed):
                    del left[column]
                elif pointed:
                    left[column] = left[column] or row[column].strip()
                else:
                    plain.add(column)
            if not left.keys() - {label}:
                break
        shown = [
            f"{self.names[column]} ({left[column]})"
            for column in sorted(left)
            if left[column] and (column in plain or self.delimiter == ";")
        ]
        more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
        said = f"{self.path.name}: points are decimal points, though they may separate thousands: "
        return (said + ", ".join(shown[:_LISTED]) + more,) if shown else ()

    def _label(self, cells: list[str], numbers: Sequence[int]) -> tuple[Float, Faults]:
        faults = Faults()
        values = np.empty(len(cells))
        for row, cell in enumerate(cells):
            values[row] = faults.value_of(cell, self.decimal, f"line {numbers[row]}")
        return values, faults

    def _look_again(self, X: Float, numeric: Sequence[int], faults: dict[int, Faults]) -> None:
        """Columns in which `float` read what is no number of ours (nan, inf, and integers that it rounds), again."""
        lost = np.count_nonzero(~np.isfinite(X), axis=0)
        reach = np.maximum(np.fmax.reduce(X, axis=0, initial=0), -np.fmin.reduce(X, axis=0, initial=0))
        again = [
            column
            for index, column in enumerate(numeric)
            if lost[index] > faults[column].without_value or reach[index] >= LARGEST_EXACT
        ]
        if not again:
            return
        faults.update({column: Faults() for column in again})
        for number, row, _, _ in self.rows([]):
            for column in again:
                faults[column].value_of(row[column], self.decimal, f"line {number}")

    def rows(self, ragged: list[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str], bool, bool]]:
        """Every row: its line, its cells, whether `float` might read more into them than we do, and whether 0 stands
        before another digit in some.

        Those of more or fewer cells than there are columns are added to `ragged`, with their lines, unless all are
        empty. Raises DataError for one that takes others in.
        """
        width = len(self.names)
        strange = coded = False
        at, row_of_file = 0, -1
        code = re.compile(rf'{re.escape(self.delimiter)}[ "]*0[0-9]')

        def lines() -> Iterator[str]:
            nonlocal strange, coded, at
            blank = self.delimiter.strip(" ") if self.blank_rows else ""
            for number, line in islice(self.file.lines(blank), self.skip, None):
                strange = "_" in line or not line.isascii()
                at, joined = number, _joined(line, self.delimiter)
                if _holds_rows(line, self.delimiter, width):
                    raise damaged(
                        self.path,
                        'quotes " in pairs',
                        f"one without its other in line {number}, so that the next lines are of its cell",
                        "mend the line",
                    )
                coded = _FIRST_CODE.match(joined) is not None or code.search(joined) is not None
                yield joined

        for row in _reader(lines(), self.delimiter):
            if len(row) == width + 1 and self.trailing and not row[-1].strip():
                row.pop()
            if len(row) != width and not any(row):
                row = [""] * width
            if len(row) != width:
                ragged.append((at, row if len(ragged) < _LISTED else []))
                continue
            row_of_file += 1
            if row_of_file in self.excluded:
                continue
            yield at, row, strange, coded


def _thousandths(X: Float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which columns of X (n, d) hold numbers below 1000 of three decimals at most, and which integers, alone."""
    thousandths, integers = np.ones((2, X.shape[1]), dtype=bool)
    height = max(1, _NUMBERS // max(1, X.shape[1]))
    for start in range(0, len(X), height):
        block = X[start : start + height]
        small = np.where(np.abs(block) < 1000.0, block, np.nan)
        thousandths &= (np.rint(small * 1000.0) / 1000.0 == small).all(axis=0)
        integers &= (block == np.floor(block)).all(axis=0)
    return thousandths, integers


def _add_codes(codes: dict[int, str], row: list[str], columns: Sequence[int]) -> None:
    """Add the first cell of each column in which 0 stands before other digits."""
    for column in columns:
        cell = row[column].strip()
        if cell[:1] == "0" and len(cell) > 1 and cell.isdigit():
            codes.setdefault(column, cell)


def _picker(columns: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    if len(columns) == 1:
        return lambda row: (row[columns[0]],)
    return itemgetter(*columns) if columns else lambda row: ()


def _joined(line: str, delimiter: str) -> str:
    """The line as `csv` takes it: runs of blanks are one."""
    return _BLANKS.sub(" ", line).strip(" ") if delimiter == " " else line


def _holds_rows(text: str, delimiter: str, width: int) -> bool:
    """Whether the lines of a row, cut without a look at quotes, are rows, with numbers where the first has some."""
    lines = text.strip().splitlines()
    if len(lines) < 2:
        return False
    rows = [_joined(line, delimiter).split(delimiter) for line in lines]
    numbers = [place for place, cell in enumerate(rows[0]) if is_number(cell.strip('" '))]
    return bool(numbers) and all(
        len(row) == width and all(is_number(row[place].strip('" ')) for place in numbers) for row in rows
    )


def _reader(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != " ")


def open_table(path: Path, like: TableColumns | None = None, *, blank_rows: bool = False) -> TextTable:
    """How the file is a table; `like` are the columns that were trained on. With `blank_rows` lines of nothing but
    delimiters are rows.

    Raises DataError where it is empty, a header alone, or no text.
    """
    with reading(path, "a table as text"):
        file = open_text(path)
        sample = [line for _, line in islice(file.lines(), _SAMPLE)]
        if not sample:
            raise damaged(
                path, "rows of numbers", "nothing but comments" if file.comments else "an empty file"
            )
        delimiter = _delimiter(sample)
        if not delimiter:
            if svmlight.are_sparse(sample):
                raise damaged(path, "rows of equally many cells", "INDEX:VALUE in each", svmlight.REMEDY)
            _refuse_title(path, sample)
            # The lines differ, and the first one says how many cells there should be.
            delimiter = _delimiter_of_line(sample[0])
        rows = _cut(sample, delimiter)
        table = _with_header(file, delimiter, rows, like)
        if len(rows) == table.skip:
            below = len(file.comments) - file.above
            are = "a comment, as it starts" if below == 1 else f"{below:,} comments, as they start"
            raise damaged(path, "rows under the header", f"{are} with #" if below else "none")
        return replace(table, blank_rows=blank_rows)


def _cut(sample: list[str], delimiter: str) -> list[list[str]]:
    lines = (_joined(line, delimiter) for line in sample)
    rows = [[cell.strip() for cell in row] for row in _reader(lines, delimiter)]
    if len(rows) > 1 and rows[0][-1] == "" and len(rows[0]) == len(rows[1]) + 1 > 2:
        rows[0].pop()  # a header that ends in a delimiter above rows that do not
    return rows


def _delimiter(sample: list[str]) -> str:
    """The one that cuts every line into equally many cells, with the largest share of numbers; else ''."""
    even = {delimiter: rows for delimiter in _DELIMITERS if (rows := _cut_evenly(sample, delimiter))}
    if "\t" in even and " " in even and not _blanks_part_numbers(even["\t"]):
        del even[" "]
    if any(_commas_are_decimal(even[mark]) for mark in ";\t|" if mark in even):
        even.pop(",", None)
    best, best_score = "", (-1.0, 0)
    for delimiter, rows in even.items():
        cells = [cell for row in rows[1:] or rows for cell in row]
        score = (sum(map(_is_value, cells)) / len(cells), len(rows[-1]))
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _delimiter_of_line(line: str) -> str:
    """The one that occurs most in a line; blanks where they part numbers and there is no other."""
    delimiter = max(_DELIMITERS[:-1], key=line.count)
    words = line.split()
    return " " if delimiter not in line and len(words) > 1 and all(map(is_number, words)) else delimiter


def _cut_evenly(sample: list[str], delimiter: str) -> list[list[str]] | None:
    """The cells of every line, equally many of two or more, where a header may lack one; None where that is not so."""
    try:
        rows = _cut(sample, delimiter)
    except csv.Error:  # a whole line of 100,000 columns is too long for one cell
        return None
    width = len(rows[-1])
    if (
        min(width, len(rows[0])) < 2
        or len(rows[0]) not in (width, width - 1)
        or any(len(row) != width for row in rows[1:])
    ):
        return None
    return rows


def _blanks_part_numbers(rows: list[list[str]]) -> bool:
    """Whether the blanks inside cells that tabs have cut stand between numbers alone, and not between words."""
    return all(
        is_number(word) for row in rows[1:] or rows for cell in row if " " in cell for word in cell.split()
    )


def _commas_are_decimal(rows: list[list[str]]) -> bool:
    """Whether commas stand in the cells of the rows, and in numbers alone."""
    cells = [cell for row in rows[1:] or rows for cell in row if "," in cell]
    return bool(cells) and all(map(is_number, cells))


def _refuse_title(path: Path, sample: list[str]) -> None:
    """Raise where lines stand above a table that are no part of it."""
    for above in range(1, min(len(sample) - 1, _MOST_TITLES + 1)):
        if _delimiter(sample[above:]):
            raise damaged(
                path,
                "a table from its first line on",
                f"{sample[0].strip()[:40]!r} above it",
                f"delete {'that line' if above == 1 else f'the first {above} lines'}, or start it with #",
            )


def _is_value(cell: str) -> bool:
    return is_number(cell) or is_missing(cell) or looks_grouped(cell)


def _with_header(
    file: TextFile, delimiter: str, rows: list[list[str]], like: TableColumns | None
) -> TextTable:
    first, second = rows[0], rows[1] if len(rows) > 1 else []
    trailing = len(first) > 2 and all(len(row) == len(first) and not row[-1] for row in rows)
    # The header may do without the delimiter that all rows end in.
    bare = len(first) > 1 and bool(second) and all(len(r) == len(first) + 1 and not r[-1] for r in rows[1:])
    if trailing or bare:
        first = first[:-1] if trailing else first
        rows = [first, *(row[:-1] for row in rows[1:])]
        second = rows[1] if len(rows) > 1 else []
    name, skip, notes = file.path.name, 1, list(file.notes)
    named, said = holds_names(first, rows[1:], like)
    if said:
        notes.append(f"{name}: {said}")
    if not named and (names := _commented(file.comments[: file.above], delimiter, first)):
        named, skip, first = True, 0, names
        notes.append(f"{name}: the comment above the first row is taken as the names of its columns")
    if not named:
        first, skip = [str(index) for index in range(len(first))], 0
    elif second and len(second) == len(first) + 1 and _name_rows([row[0] for row in rows[1:]]):
        # R writes the names of the columns, but none for that of its row names.
        first = ["", *first]
        notes.append(
            f"{name}: rows have one cell more than the header has names: the first column is without one"
        )
    return TextTable(file, delimiter, tuple(first), named, skip, trailing or bare, tuple(notes))


def _name_rows(cells: list[str]) -> bool:
    """Whether the cells are words, each once, or count the rows: any other number may be a value of a first column."""
    if any(is_number(cell) for cell in cells):
        return cells[0] in ("0", "1") and cells == [str(int(cells[0]) + row) for row in range(len(cells))]
    return len(set(cells)) == len(cells)


def _commented(comments: list[str], delimiter: str, row: list[str]) -> list[str]:
    """The names in the last comment line, such as NumPy's `savetxt` writes its header, or in the one above rulers and
    lines of units or numbers there; none where other words stand there, or where blanks part cells and an empty comment
    parts a title from the rows."""
    for comment in reversed(comments):
        text = comment.lstrip("# ")
        cells = _cut([text], delimiter)[0] if text else []
        if len(cells) == len(row):
            if comment.startswith("#" + delimiter):  # the sign itself is a name: #,Name,HP
                cells[0] = "#"
            if len(set(cells)) == len(cells) and all(map(_may_name, cells[cells[0] == "#" :])):
                return cells
        elif any(map(str.isalnum, text)) or (not text and delimiter == " "):
            return []
    return []


def _may_name(cell: str) -> bool:
    return not is_number(cell) and any(map(str.isalnum, cell))
