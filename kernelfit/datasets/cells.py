"""What a cell of a table is: a number, or what stands there instead.

Numbers are decimal: 12, -1.5, .5, 1e-3. Python's own `float` reads 1_000, words and the digits of every script as well;
none of these is a number here. With decimal commas a comma stands where else the point does.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.typing import Float

from .faults import Fault

_POINT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?", re.ASCII)
#: 1,234 or 12,345: a comma that may separate thousands
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
#: what stands between thousands: marks, apostrophes, and blanks of four widths
THOUSANDS_MARKS = ",.'\u2019 \u00a0\u2009\u202f"
_GROUPED = re.compile(rf"[+-]?\d{{1,3}}(?:[{THOUSANDS_MARKS}]\d{{3}})+(?:[.,]\d*)?")
# 1.234, or 950 without a point
_POINTED = re.compile(r"[+-]?(?:[1-9]\d{0,2}\.\d{3}|\d{1,3})", re.ASCII)
_MISSING = frozenset(
    (
        *(
            "",
            "?",
            "-",
            ".",
            "na",
            "n/a",
            "#n/a",
            "#na",
            "#n/a n/a",
            "<na>",
            "nan",
            "-nan",
            "null",
            "none",
            "nil",
        ),
        *("nat", "missing", "\\n", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"),
    )
)
_BOOLEANS = {"true": 1.0, "false": 0.0}
_INFINITE = frozenset(
    f"{sign}{word}" for sign in ("", "+", "-") for word in ("inf", "infinity", "#inf", "1.#inf")
)
#: float64 holds every integer up to here
LARGEST_EXACT = 2**53


class Kind(Enum):
    """What a cell holds that is not a plain number; `COMMA`, `BOOLEAN` and `PERCENT` have a value all the same."""

    TEXT = auto()
    MISSING = auto()
    INFINITE = auto()
    #: an integer that float64 does not hold
    ROUNDED = auto()
    #: a decimal comma, which can be nothing else
    COMMA = auto()
    #: a comma that is a decimal one or separates thousands
    AMBIGUOUS = auto()
    #: a decimal point where others are commas
    POINT = auto()
    BOOLEAN = auto()
    #: a number before a percent sign
    PERCENT = auto()


#: marks of a number, which one before a percent sign has as well
_COMMAS = (Kind.COMMA, Kind.AMBIGUOUS)
#: those without one
_WITHOUT_VALUE = (Kind.TEXT, Kind.MISSING, Kind.INFINITE, Kind.POINT)


def classified(cell: str, decimal: str = ".") -> tuple[float, Kind | None]:
    """The value of a cell, NaN where it has none, and what it is if not a plain number."""
    cell = cell.strip()
    if _POINT.fullmatch(cell):
        if decimal == "," and "." in cell:
            return math.nan, Kind.POINT
        return _number(cell)
    if _COMMA.fullmatch(cell):
        kind = Kind.AMBIGUOUS if _THOUSANDS.fullmatch(cell) else Kind.COMMA
        return float(cell.replace(",", ".")), kind
    lowered = cell.lower()
    if lowered in _MISSING:
        return math.nan, Kind.MISSING
    if lowered in _BOOLEANS:
        return _BOOLEANS[lowered], Kind.BOOLEAN
    if cell.endswith("%"):
        share, written = classified(cell[:-1], decimal)
        if written in (None, *_COMMAS):
            return share, Kind.PERCENT
    return math.nan, Kind.INFINITE if lowered in _INFINITE else Kind.TEXT


def _number(cell: str) -> tuple[float, Kind | None]:
    value = float(cell)
    if math.isinf(value):
        return math.nan, Kind.INFINITE
    if abs(value) >= LARGEST_EXACT and _INTEGER.fullmatch(cell) and int(cell) != value:
        return value, Kind.ROUNDED
    return value, None


def is_number(cell: str) -> bool:
    """Whether the cell is a number, with a decimal point or comma."""
    return classified(cell)[1] in (None, Kind.ROUNDED, Kind.COMMA, Kind.AMBIGUOUS, Kind.PERCENT)


def is_missing(cell: str) -> bool:
    """Whether the cell stands for a missing value."""
    return cell.strip().lower() in _MISSING


def composed(text: str) -> str:
    """Accents within their letters (NFC), which some systems write as letters of their own: one word, one spelling."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def looks_grouped(cell: str) -> bool:
    """Whether the cell is a number with separators of thousands."""
    return _GROUPED.fullmatch(cell.strip()) is not None


def points_may_group(cell: str) -> bool:
    """Whether a point, if the number has one, may separate thousands: 1.234 and 950, not 0.123 or 1.5."""
    return _POINTED.fullmatch(cell.strip()) is not None


@dataclass
class Seen:
    """Cells of one kind in a column: how many, the first of them, and where it stands."""

    count: int
    cell: str
    where: str

    @property
    def shown(self) -> str:
        return repr(self.cell[:40]) if self.cell.strip() else "an empty cell"


@dataclass
class Faults:
    """What the cells of a column hold beside plain numbers."""

    seen: dict[Kind, Seen] = field(default_factory=dict)

    def add(self, kind: Kind, cell: str, where: str, count: int = 1) -> None:
        first = self.seen.get(kind)
        if first is None:
            self.seen[kind] = Seen(count, cell, where)
        else:
            first.count += count

    def value_of(self, cell: str, decimal: str, where: str) -> float:
        """The value of a cell, as `classified`, noted where it is no plain number; 12,5 % is a comma as well."""
        value, kind = classified(cell, decimal)
        if kind is not None:
            self.add(kind, cell, where)
        if kind is Kind.PERCENT and (mark := classified(cell.strip()[:-1], decimal)[1]):
            self.add(mark, cell, where)
        return value

    @property
    def without_value(self) -> int:
        """How many cells have no value."""
        return sum(self.seen[kind].count for kind in _WITHOUT_VALUE if kind in self.seen)

    def get(self, kind: Kind) -> Seen | None:
        return self.seen.get(kind)


@dataclass(frozen=True)
class Cells:
    """What was read of a table.

    Attributes
    ----------
    numbers : (n, k) the columns that were asked for as numbers, NaN where a cell is none
    faults : what these, and the label, hold beside plain numbers
    label, label_texts : (n,) the label as numbers, NaN where it is none, and as it stands
    texts : further columns as they stand
    decimal : the decimal point or comma
    notes : what was left out, and how numbers are written
    lines : of a text file the line of each row
    blank : of a text file rows without any value
    of_file : which of the file's rows these are, where some are left out
    ragged : of a text file, lines that are no rows
    """

    numbers: Float
    faults: Mapping[int, Faults]
    label: Float | None = None
    label_texts: tuple[str, ...] = ()
    texts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    decimal: str = "."
    notes: tuple[str, ...] = ()
    lines: Sequence[int] | None = None
    blank: Sequence[int] = ()
    of_file: NDArray[np.int64] | None = None
    ragged: tuple[Fault, ...] = ()

    def where(self, row: int) -> str:
        """Where a row stands: in a text file its line."""
        if self.lines is not None:
            return f"line {self.lines[row]}"
        return f"row {row if self.of_file is None else self.of_file[row]} (counted from 0)"


class Table(Protocol):
    """A file of named columns; `named` is whether the names are its own, else they are 0, 1, 2, ...

    `row_names` are what names its rows beside its columns, and what that is called, where something does.
    """

    @property
    def path(self) -> Path: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def named(self) -> bool: ...

    @property
    def row_names(self) -> tuple[str, tuple[str, ...]] | None: ...

    def read(self, numeric: Sequence[int], label: int | None = None, texts: Sequence[int] = ()) -> Cells:
        """Columns of numbers, the label, and columns as they stand."""
        ...

    def without(self, rows: NDArray[np.int64]) -> Table:
        """The same as if the file had not these rows, which are counted from 0."""
        ...
