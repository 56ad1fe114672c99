"""Whether the first line of a table as text holds the names of its columns, or a row.

It holds names when none of its cells is a number, unless most of its words stand below it as well; when a name stands
above a number; or when it counts 0, 1, ... as pandas writes the columns of a frame without names. Numbers beside names
of columns of words, as 400, 402, 404, class above spectra, are names where one is what labels are called, or where they
go on in equal steps, and no word occurs again below; numbers alone, as 2019, 2020, 2021, 2022, where they do so above
fractions; numbers in a table of words where no row has one. A cell that stands for a missing value is no name: such a
line is a row, and refused as one. Each guess is a note.

New rows of columns without names that hold the words that were trained on begin with a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernelfit.typing import Float

from .categories import are_dates, is_measure, listed
from .cells import Kind, classified, is_missing, is_number
from .table_columns import TableColumns

#: what labels are called, the surest first
LABELS = ("label", "target", "y", "class", "labels", "targets", "classes", "outcome", "response")

# A header 0, 1, 2, ... of fewer columns could as well be a row.
_SURE_COUNT = 4
# Rows of words below, of which a number is rarely one.
_SURE_WORDS = 4
# So many numbers are rarely in order by chance: 2 in 720.
_SURE_ORDER = 6


def holds_names(
    first: Sequence[str], below: Sequence[Sequence[str]], like: TableColumns | None
) -> tuple[bool, str]:
    """Whether the first line, above such rows, holds names, and what is said where that was a guess.

    `like` are the columns that were trained on: some of their names are a header, though they be numbers.
    """
    if like is not None and like.named and _names_trained(first, like):
        return True, ""
    if like is not None and not like.named and _is_like_trained_rows(first, like):
        return False, ""
    if _counts(first):
        named = _are_names_of_a_count(first, below)
        return named, f"the first line, 0, 1, 2, ..., is taken as {_meaning(named)}"
    columns = [[row[column] for row in below if column < len(row)] for column in range(len(first))]
    if not any(is_number(cell) for cell in first):
        if _repeats(first, columns):
            return False, "the first line is taken as a row, as its words stand below it as well"
        return True, ""
    if any(map(_is_name_of_numbers, first, columns)):
        return True, ""
    if (like is None or like.named) and _may_be_numbers_and_names(first, columns):
        return _are_numbers_and_names(first, columns)
    if like is None and (_go_on_evenly(first, columns) or _are_above_words(first, columns)):
        return True, f"the first line, {listed(first)}, is taken as {_meaning(True)}"
    return False, ""


def _meaning(named: bool) -> str:
    return "the names of its columns" if named else "a row"


def _is_name(cell: str) -> bool:
    return not (is_number(cell) or is_missing(cell) or _is_boolean(cell))


def _is_boolean(cell: str) -> bool:
    return classified(cell)[1] is Kind.BOOLEAN


def _is_name_of_numbers(cell: str, column: Sequence[str]) -> bool:
    """Whether a word stands above a number, or another word than true and false above one of these, and not again."""
    if not column or is_number(cell) or is_missing(cell) or cell in column:
        return False
    return is_number(column[0]) or (_is_boolean(column[0]) and not _is_boolean(cell))


def _names_trained(first: Sequence[str], like: TableColumns) -> bool:
    """Whether the cells are names of columns of the training rows alone, or of all its features, that are several, and
    of others, some of them words."""
    there = set(first)
    beside = there >= set(like.features) and len(like.features) > 1 and not all(map(is_number, first))
    return len(there) == len(first) and (there <= set(like.every) or beside)


def _is_like_trained_rows(first: Sequence[str], like: TableColumns) -> bool:
    """Whether most cells of the columns of words are words that were trained on, and no name stands above numbers, of
    which some are true or false where there are no words."""
    places = like.by_position(len(first))
    if places is None:
        return False
    features, _ = places
    numbers = [first[features[index]] for index in like.numeric]
    known = [first[features[index]] in (like.words(index) or ()) for index in like.of_words]
    told = 2 * sum(known) > len(known) if known else any(map(_is_boolean, numbers))
    return told and not any(map(_is_name, numbers))


def _repeats(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether most words of the first line stand in their columns below it as well, as names of columns do not."""
    words = [(cell, column) for cell, column in zip(first, columns, strict=True) if cell]
    if any(_is_of_numbers(column) for _, column in words):
        return False  # a word above numbers is a name
    return 2 * sum(cell in column for cell, column in words) > len(words)


def _is_of_numbers(column: Sequence[str]) -> bool:
    """Whether it holds numbers, and nothing else but missing values."""
    return any(map(is_number, column)) and all(is_number(cell) or is_missing(cell) for cell in column)


def _counts(first: Sequence[str]) -> bool:
    """Whether the cells are 0, 1, 2, ..., with or without an empty one in front."""
    numbers = first[1:] if first[0] == "" else first
    return len(numbers) > 1 and list(numbers) == [str(index) for index in range(len(numbers))]


def _are_names_of_a_count(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    if first[0] == "" or len(first) >= _SURE_COUNT:
        return bool(below)
    # Integers above fractions or words are names; above integers they may as well be a row.
    return any(not cell.isdigit() for row in below for cell in row)


def _may_be_numbers_and_names(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether numbers stand above numbers alone, and each word, which may be a name, above others than itself."""
    words, numbers = _parted(first, columns)
    return (
        bool(words)
        and len({len(column) for column in columns}) == 1
        and all(
            classified(cell)[1] is Kind.TEXT
            and not are_dates([cell])
            and not is_measure(cell)
            and cell not in column
            for cell, column in words
        )
        and all(_is_of_numbers(column) for _, column in numbers)
        # An index has no name; any other empty cell is a missing value.
        and not any(is_missing(cell) for cell in first[first[0] == "" :])
    )


def _are_numbers_and_names(first: Sequence[str], columns: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether numbers and words of the first line are names, and what is said of that; nothing of a plain row."""
    words, numbers = _parted(first, columns)
    # Where words tell the rows apart, it says nothing that one occurs once.
    grouped = all(len(set(column)) < len(column) for _, column in words)
    label = any(cell.lower() in LABELS and len(cell) > 1 for cell, _ in words)  # y may be a yes
    counts = _counts([cell for cell, _ in numbers]) and any(
        not cell.isdigit() for _, column in numbers for cell in column
    )
    even, ordered = _even_or_ordered(numbers)
    named = label or even or (grouped and (counts or ordered))
    if not named and not grouped:
        return False, ""
    return named, f"the first line, {listed(first)}, is taken as {_meaning(named)}"


def _go_on_evenly(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether all cells are integers that go on in equal steps, as years do, above numbers of which some are none."""
    below = [cell for column in columns for cell in column]
    return (
        len({len(column) for column in columns}) == 1
        and all(cell.isdigit() for cell in first)
        and all(map(is_number, below))
        and not all(cell.isdigit() for cell in below)
        and _even_or_ordered(list(zip(first, columns, strict=True)))[0]
    )


def _are_above_words(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether no number of the first line stands above another one, and no word above itself."""
    words, numbers = _parted(first, columns)
    return (
        len(words) + len(numbers) == len(first)
        and min(map(len, columns)) >= _SURE_WORDS
        and not any(cell in column for cell, column in words)
        and not any(is_number(cell) for _, column in numbers for cell in column)
        and not any(all(map(is_missing, column)) for _, column in numbers)
    )


def _parted(
    first: Sequence[str], columns: Sequence[Sequence[str]]
) -> tuple[list[tuple[str, Sequence[str]]], list[tuple[str, Sequence[str]]]]:
    """The words of the first line and its numbers, each with the cells below it."""
    cells = list(zip(first, columns, strict=True))
    words = [(cell, column) for cell, column in cells if _is_name(cell)]
    return words, [(cell, column) for cell, column in cells if is_number(cell)]


def _even_or_ordered(numbers: Sequence[tuple[str, Sequence[str]]]) -> tuple[bool, bool]:
    """Whether numbers go up or down in equal steps, and whether so many do in any, where most rows below do not."""
    lines = np.array([[classified(cell)[0] for cell in (top, *column)] for top, column in numbers]).T
    steps: Float = np.diff(lines, axis=1)
    in_order = np.asarray((steps > 0).all(axis=1) | (steps < 0).all(axis=1))
    if len(numbers) < _SURE_COUNT or not in_order[0] or 2 * np.count_nonzero(in_order[1:]) > len(lines) - 1:
        return False, False
    return bool(np.allclose(steps[0], steps[0, 0])), len(numbers) >= _SURE_ORDER
