"""Columns of words: a column of X for each category, 1 where it stands, else 0, as scikit-learn's OneHotEncoder makes.

Two rows that differ in a category are sqrt(2) apart in it, whatever the category. A category is what stands in the
cell; an empty cell is one as well. A column has at most 100 categories, and more than 10 only where each stands for two
rows on average: else it names the rows or is free text. Dates, times and numbers that are written otherwise than ours
are no categories, nor are numbers with their units where there are more than 10.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import category

import numpy as np

from kernelfit.typing import Float

from .cells import THOUSANDS_MARKS, Kind, classified, is_missing

#: categories that a column may have
MAX_CATEGORIES = 100
# Up to so many are categories, however few the rows.
_FEW = 10
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATE = re.compile(
    r"(?:\d{8}T\d{4}(?:\d\d)?(?:[.,]\d+)?|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})(?:[T ].*)?"
    r"|\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.?[Mm]\.?)?"
    r"|-?\d+ days?,? [+-]?\d{1,2}:\d{2}:\d{2}(?:\.\d+)?"  # of Python and pandas, as 1 day, 0:00:00
    # 1 Jan 2020, 01JAN2020, Jan 1, 2020
    rf"|(?:\d{{1,2}}[-/. ]*{_MONTH}[-/. ]*|{_MONTH}[-/ ]+\d{{1,2}}(?:,|[-/ ])[-/ ]*)\d{{2,4}}(?:[T: ].*)?",
    re.IGNORECASE,
)
_DIGITS = rf"(?:0[xXbBoO][\da-fA-F]+|[.,]?\d[\d_{THOUSANDS_MARKS}]*)"
_SIGN = r"'?[(+\-−–]?[$€£¥₹]?\s*[+\-−–]?"
# Of Fortran, 1.5D+03, and of print, 1.5×10^3.
_EXPONENT = r"(?:[dD][+\-−–]?\d+|\s*[×x*·]\s*10(?:\^[+\-−–]?\d+|[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+))"
_NUMBER = re.compile(rf"{_SIGN}{_DIGITS}{_EXPONENT}?\s*[$€£¥₹%]?[)\-−–]?")
_MEASURE = re.compile(rf"{_SIGN}{_DIGITS}[^\d]{{0,8}}")
# Categories and cells that a line lists.
_LISTED = 6


@dataclass(frozen=True)
class Unknown:
    """Cells that hold none of the categories: which they are, in how many rows, and the first of these."""

    categories: tuple[str, ...]
    rows: int
    first: int


def categories_of(cells: Sequence[str]) -> tuple[str, ...]:
    """The different cells, in the order of their letters."""
    return tuple(sorted(set(cells)))


def too_many(categories: Sequence[str], n: int) -> bool:
    """Whether so many tell n rows apart rather than group them."""
    c = len(categories)
    return c > MAX_CATEGORIES or (c > _FEW and 2 * c > n)


def are_measures(categories: Sequence[str]) -> bool:
    """Whether all of them, but missing ones, are numbers: text of a table whose columns have types; or written in
    another way than ours: 0x10, 1_000, $ 5, 1.5D+03, 5-; or, where there are more than a few, numbers with a unit,
    12 kg."""
    words = _there(categories)
    pattern = _MEASURE if len(words) > _FEW else _NUMBER
    return bool(words) and all(pattern.fullmatch(_visible(word)) or _is_float(word) for word in words)


def is_measure(cell: str) -> bool:
    """Whether it is a number written in another way than ours, or with a unit."""
    cell = _visible(cell)
    return _MEASURE.fullmatch(cell) is not None or _NUMBER.fullmatch(cell) is not None


def _visible(word: str) -> str:
    """Without marks of no width, such as stand where text was copied from a page."""
    return word if word.isascii() else "".join(letter for letter in word if category(letter) != "Cf")


def _is_float(word: str) -> bool:
    return classified(word)[1] in (None, Kind.INFINITE)


def are_dates(categories: Sequence[str]) -> bool:
    """Whether all of them, but missing ones, are dates, times or spans of time."""
    words = _there(categories)
    return bool(words) and all(_DATE.fullmatch(word) for word in words)


def _there(categories: Sequence[str]) -> list[str]:
    """Those that do not stand for a missing value."""
    return [category for category in categories if not is_missing(category)]


def one_hot(cells: Sequence[str], categories: Sequence[str]) -> tuple[Float, Unknown | None]:
    """(n, c) of 0 and 1, rows of 0 where a cell is no category, and which cells these are."""
    code = {category: index for index, category in enumerate(categories)}
    codes = np.array([code.get(cell, -1) for cell in cells], dtype=np.int64)
    encoded = np.zeros((len(cells), len(categories)))
    (known,) = np.nonzero(codes >= 0)
    encoded[known, codes[known]] = 1.0
    strange = [row for row, cell in enumerate(cells) if cell not in code]
    if not strange:
        return encoded, None
    return encoded, Unknown(categories_of([cells[row] for row in strange]), len(strange), strange[0])


def by_case_alone(words: Sequence[str]) -> tuple[str, ...]:
    """Those that differ from another in upper and lower case alone."""
    often = Counter(word.casefold() for word in words)
    return tuple(word for word in words if often[word.casefold()] > 1)


def _in_a_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def listed(categories: Sequence[str]) -> str:
    """The first few, and how many there are."""
    shown = ", ".join(_in_a_line(category)[:40] or "''" for category in categories[:_LISTED])
    return shown + (f", ... {len(categories)} in all" if len(categories) > _LISTED else "")
