"""What stands in the columns of a table and cannot be in X or y: refused in one line, with what helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from . import svmlight
from .categories import MAX_CATEGORIES, are_dates, are_measures, categories_of, is_measure, listed, too_many
from .cells import Cells, Faults, Kind, Seen, Table, is_number, looks_grouped
from .faults import damaged

# Classes may be called by numbers and words together, but not by more different numbers than these.
_MOST_NUMBERS = 20
# Names that a message lists.
_LISTED = 8
# Different words of a label that was not asked for are too many from here on where they tell most rows apart.
_FEW_WORDS = 10


def refuse_strange_label(table: Table, cells: Cells, label: int, guessed: bool) -> None:
    """Raise where a label of words looks like one of numbers that were not understood, or where one that was `guessed`
    to be the label tells the rows apart."""
    assert cells.label is not None
    text = cells.faults[label].get(Kind.TEXT)
    if not text:
        return
    classes, name = categories_of(cells.label_texts), repr(table.names[label])
    if not looks_grouped(text.cell) and (are_measures(classes) or are_dates(classes)):
        what = "dates or times" if are_dates(classes) else "numbers that are written otherwise"
        raise damaged(
            table.path,
            f"numbers or words in the label column {name}",
            f"{what}, {text.shown} in {text.where}",
            "write numbers alone, as 12 or 0.5, or take them as they stand with task='classification'",
        )
    if guessed and len(classes) > _FEW_WORDS and 2 * len(classes) > len(cells.label_texts):
        raise damaged(
            table.path,
            "to know the label",
            f"{len(classes):,} different words in {len(cells.label_texts):,} rows of the last column, {name}",
            f"name the label with target=NAME, or that column with target={table.names[label]!r}",
        )
    words = [(row, cell) for row, cell in enumerate(cells.label_texts) if np.isnan(cells.label[row])]
    numbers = np.unique(cells.label[np.isfinite(cells.label)])
    grouped = next(((row, cell) for row, cell in words if looks_grouped(cell)), None)
    if grouped is None and not (len(numbers) > _MOST_NUMBERS and words):
        return
    row, cell = grouped or words[0]
    remedy = "mend the cell" if grouped is None else "write numbers without separators of thousands"
    raise damaged(
        table.path,
        f"numbers or words in the label column {table.names[label]!r}",
        f"{cell[:40]!r} in {cells.where(row)} of what are else numbers"
        if grouped is None
        else f"{cell[:40]!r} in {cells.where(row)}",
        f"{remedy}, or take them as they stand with task='classification'",
    )


def refuse_missing_label(table: Table, cells: Cells, label: int) -> None:
    """Raise where a label of words, or of true and false, is an empty cell: no class is called so."""
    assert cells.label is not None
    empty = rows_without_label(cells)
    missing = cells.faults[label].get(Kind.MISSING)
    if not cells.faults[label].get(Kind.TEXT) and missing:
        # Of true and false whatever stands for a missing value is one.
        empty = np.flatnonzero(np.isnan(cells.label)).tolist()
    if not empty:
        return
    where, shown = cells.where(empty[0]), "an empty cell"
    if missing is not None and (not missing.cell.strip() or not cells.faults[label].get(Kind.TEXT)):
        where, shown = missing.where, missing.shown
    more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
    raise damaged(
        table.path,
        f"a label in every row of column {table.names[label]!r}",
        f"{shown} in {where}{more}",
        "fill it, or leave out the row",
    )


def rows_without_label(cells: Cells) -> list[int]:
    """Rows whose label is an empty cell: other words for what is missing, such as none, may be classes."""
    return [row for row, cell in enumerate(cells.label_texts) if not cell.strip()]


def refuse_commas(table: Table, cells: Cells, columns: Sequence[int]) -> None:
    """Raise where commas may be decimal ones or separate thousands: 1,234 is read as neither."""
    if cells.decimal == ".":
        return
    kinds = {kind for column in columns for kind in cells.faults[column].seen}
    for column in columns:
        faults = cells.faults[column]
        point, unsure = faults.get(Kind.POINT), faults.get(Kind.AMBIGUOUS)
        if point is not None:
            raise damaged(
                table.path,
                "one decimal mark",
                f"commas in some numbers and a point in {point.shown}, {point.where}, column {table.names[column]!r}",
                "write numbers with decimal points and without separators of thousands",
            )
        if unsure is not None and Kind.COMMA not in kinds:
            raise damaged(
                table.path,
                "decimal points, or decimal commas that are no separators of thousands",
                f"{unsure.shown} in {unsure.where}, column {table.names[column]!r}",
                "write numbers with decimal points and without separators",
            )


def words_of(
    table: Table, cells: Cells, features: Sequence[int], label: int, n: int
) -> tuple[dict[int, tuple[str, ...]], Mapping[int, tuple[str, ...]]]:
    """Column -> categories of the features that hold words, and column -> cells. Raises DataError, for all that have no
    categories at once."""
    texts = [column for column in features if cells.faults[column].get(Kind.TEXT)]
    if not texts:
        return {}, {}
    read = table.read((), None, texts).texts
    words: dict[int, tuple[str, ...]] = {}
    refused: list[int] = []
    for column in texts:
        faults, words[column] = cells.faults[column], categories_of(read[column])
        missing = faults.get(Kind.MISSING)
        few = 2 * faults.seen[Kind.TEXT].count <= n - (missing.count if missing else 0)
        sparse = svmlight.is_pair(faults.seen[Kind.TEXT].cell.strip()) and not are_dates(words[column])
        if few or sparse or are_measures(words[column]):
            refuse_cells(table, faults, column, "", rows=n, training=True)
        if are_dates(words[column]) or too_many(words[column], n):
            refused.append(column)
    if refused:
        first, names = refused[0], [table.names[column] for column in refused]
        what = "dates or times" if are_dates(words[first]) else f"{len(words[first]):,} different words"
        cell = cells.faults[first].seen[Kind.TEXT]
        more = f", and the like in {len(names) - 1} more" if len(names) > 1 else ""
        raise damaged(
            table.path,
            f"numbers, or at most {MAX_CATEGORIES} categories of two rows or more",
            f"{what} in column {names[0]!r} of {n:,} rows ({cell.shown} in {cell.where}){more}",
            f"make them numbers, or leave them out with drop={drop_value(names)}",
        )
    return words, read


def refuse_first_words(
    table: Table, cells: Cells, features: Sequence[int], words: Mapping[int, Sequence[str]], label: int
) -> None:
    """Raise where the last column was taken as the label by a guess, and words in the first one may be it as well."""
    if list(words) != [features[0]] or cells.faults[label].get(Kind.TEXT):
        return
    first, last = table.names[features[0]], table.names[label]
    raise damaged(
        table.path,
        "to know the label",
        f"words in column {first!r} alone, the first, and numbers in {last!r}, the last",
        f"name it with target={first!r} or target={last!r}",
    )


def listed_words(table: Table, words: Mapping[int, Sequence[str]]) -> str:
    shown = [f"{table.names[column]} ({listed(categories)})" for column, categories in words.items()]
    more = f" and {len(shown) - _LISTED} more columns" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more


def refuse(
    table: Table, faults: Mapping[int, Faults], features: Sequence[int], label: int | None, rows: int
) -> None:
    """Raise for the first feature that is not of numbers alone; several with missing values are named together."""
    gaps = {column: missing for column in features if (missing := faults[column].get(Kind.MISSING))}
    if len(gaps) > 1 and not any(faults[column].get(Kind.TEXT) for column in features):
        _refuse_gaps(table, gaps, label is not None)
    for column in features:
        refuse_cells(table, faults[column], column, "", rows=rows, training=label is not None)


def _refuse_gaps(table: Table, gaps: Mapping[int, Seen], training: bool) -> None:
    first, (name, *_) = next(iter(gaps.values())), [table.names[column] for column in gaps]
    counts = [f"{table.names[column]} ({missing.count})" for column, missing in gaps.items()]
    drop = (
        f", or the columns with drop={drop_value([table.names[column] for column in gaps])}"
        if training
        else ""
    )
    raise damaged(
        table.path,
        "numbers in every row",
        f"missing values in {len(gaps)} columns: {listed_names(counts)}; the first is {first.shown} in {first.where}, "
        f"column {name!r}",
        f"fill them, or leave out the rows{drop}",
    )


def refuse_cells(
    table: Table, faults: Faults, column: int, what: str, *, rows: int, training: bool = False
) -> None:
    """Raise where cells of the column, of so many rows, are no numbers, or missing, or others than float64 holds."""
    name = repr(table.names[column])
    text, missing = faults.get(Kind.TEXT), faults.get(Kind.MISSING)
    drop = f" (drop={drop_value([table.names[column]])})"
    column_out = f", or leave the column out{drop}" if training else ""
    row_out = f", or leave out the row{f' or the column{drop}' if training else ''}"
    if text is not None:
        if looks_grouped(text.cell):
            remedy = f"write numbers without separators of thousands{column_out}"
        elif svmlight.is_pair(text.cell.strip()):
            remedy = svmlight.REMEDY
        elif is_number(text.cell):  # of a table whose columns have types
            remedy = f"it is text: store the column as numbers{column_out}"
        elif is_measure(text.cell.strip()):
            remedy = f"write numbers alone, as 12 or 0.5{column_out}"
        else:
            remedy = f"mend it{row_out}"
        more = f" and {text.count - 1} more" if text.count > 1 else ""
        raise damaged(
            table.path, f"a number in {what}column {name}", f"{text.shown} in {text.where}{more}", remedy
        )
    if missing is not None:
        more = f" and {missing.count - 1} more missing in this column" if missing.count > 1 else ""
        remedy = f"fill it{row_out}"
        raise damaged(
            table.path,
            f"a number in {what}column {name}",
            f"{missing.shown} in {missing.where}{more}",
            remedy,
        )
    percent = faults.get(Kind.PERCENT)
    if percent is not None and percent.count < rows:
        raise damaged(
            table.path,
            f"percent signs in all cells of {what}column {name} or in none",
            f"{percent.shown} in {percent.where}, one of {percent.count:,} in {rows:,} rows",
            f"write numbers alone{column_out}",
        )
    infinite, rounded = faults.get(Kind.INFINITE), faults.get(Kind.ROUNDED)
    if infinite is not None:
        raise damaged(
            table.path,
            f"finite numbers in {what}column {name}",
            f"{infinite.shown} in {infinite.where}",
            f"fill it{row_out}",
        )
    if rounded is not None:
        raise damaged(
            table.path,
            f"integers up to 2^53 in {what}column {name}, as float64 holds",
            f"{rounded.shown} in {rounded.where}",
            f"subtract an offset{column_out}",
        )


def listed_names(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] or "''" for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def drop_value(names: Sequence[str]) -> str:
    """Names as Python takes them for `drop`."""
    return repr(list(names))
