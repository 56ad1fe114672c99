"""What stands in the columns of a table and cannot be in X or y, and what helps: all of it, to be told in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from . import svmlight
from .categories import MAX_CATEGORIES, are_dates, are_measures, categories_of, is_measure, listed, too_many
from .cells import Cells, Faults, Kind, Seen, Table, is_number, looks_grouped
from .faults import Fault

# Classes may be called by numbers and words together, but not by more different numbers than these.
_MOST_NUMBERS = 20
# Names that a message lists.
_LISTED = 8
# Different words of a label that was not asked for are too many from here on where they tell most rows apart.
_FEW_WORDS = 10


def strange_label(table: Table, cells: Cells, label: int, guessed: bool) -> list[Fault]:
    """Where a label of words looks like one of numbers that were not understood, or where one that was `guessed` to be
    the label tells the rows apart."""
    assert cells.label is not None
    text = cells.faults[label].get(Kind.TEXT)
    if not text:
        return []
    classes, name = categories_of(cells.label_texts), repr(table.names[label])
    if not looks_grouped(text.cell) and (are_measures(classes) or are_dates(classes)):
        what = "dates or times" if are_dates(classes) else "numbers that are written otherwise"
        return [
            Fault(
                f"numbers or words in the label column {name}",
                f"{what}, {text.shown} in {text.where}",
                "write numbers alone, as 12, 0.5 or 1e-3, or take them as they stand with task='classification'",
            )
        ]
    if guessed and len(classes) > _FEW_WORDS and 2 * len(classes) > len(cells.label_texts):
        return [
            Fault(
                "to know the label",
                f"{len(classes):,} different words in {len(cells.label_texts):,} rows of the last column, {name}",
                f"name the label with target=NAME, or that column with target={table.names[label]!r}",
            )
        ]
    words = [(row, cell) for row, cell in enumerate(cells.label_texts) if np.isnan(cells.label[row])]
    numbers = np.unique(cells.label[np.isfinite(cells.label)])
    grouped = next(((row, cell) for row, cell in words if looks_grouped(cell)), None)
    if grouped is None and not (len(numbers) > _MOST_NUMBERS and words):
        return []
    row, cell = grouped or words[0]
    remedy = "mend the cell" if grouped is None else "write numbers without separators of thousands"
    of_numbers = " of what are else numbers" if grouped is None else ""
    return [
        Fault(
            f"numbers or words in the label column {name}",
            f"{cell[:40]!r} in {cells.where(row)}{of_numbers}",
            f"{remedy}, or take them as they stand with task='classification'",
        )
    ]


def faults_of_label(table: Table, cells: Cells, label: int) -> list[Fault]:
    """What keeps a label from being classes, where it holds words, or true and false, or else numbers."""
    faults = cells.faults[label]
    if faults.get(Kind.TEXT):
        return _missing_label(table, cells, label, rows_without_label(cells))
    if faults.get(Kind.BOOLEAN):  # of true and false whatever stands for a missing value is one
        assert cells.label is not None
        return _missing_label(table, cells, label, np.flatnonzero(np.isnan(cells.label)).tolist())
    return faults_of_cells(table, faults, label, "the label ", rows=len(cells.label_texts))


def faults_of_known_label(table: Table, cells: Cells, label: int, *, words: bool, gaps: bool) -> list[Fault]:
    """The same beside training rows whose label holds `words`, or numbers. Without `gaps` labels may be missing, and
    may be words beside numbers: whoever scores the rows leaves them aside and says so."""
    faults = cells.faults[label]
    strange = faults.get(Kind.TEXT) or faults.get(Kind.BOOLEAN)
    if not words and strange is None:
        return faults_of_cells(table, faults, label, "the label ", rows=len(cells.label_texts), gaps=gaps)
    if not gaps:
        return []
    if words or strange is None:
        return _missing_label(table, cells, label, rows_without_label(cells))
    expected = f"a number in the label column {table.names[label]!r}, as in the training rows"
    return [Fault(expected, f"{strange.shown} in {strange.where}", "mend it, or leave out the row")]


def _missing_label(table: Table, cells: Cells, label: int, empty: Sequence[int]) -> list[Fault]:
    """Where a label of words, or of true and false, is missing in the rows `empty`: no class is called so."""
    if not empty:
        return []
    shown = repr(cells.label_texts[empty[0]][:40]) if cells.label_texts[empty[0]] else "an empty cell"
    more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
    expected = f"a label in every row of column {table.names[label]!r}"
    remedy = "fill it, or leave out such rows (missing='rows')"
    return [Fault(expected, f"{shown} in {cells.where(empty[0])}{more}", remedy)]


def rows_without_label(cells: Cells) -> list[int]:
    """Rows whose label is an empty cell: other words for what is missing, such as none, may be classes."""
    return [row for row, cell in enumerate(cells.label_texts) if not cell.strip()]


def faults_of_commas(table: Table, cells: Cells, columns: Sequence[int]) -> list[Fault]:
    """Where commas may be decimal ones or separate thousands: 1,234 is read as neither."""
    if cells.decimal == ".":
        return []
    refused: list[Fault] = []
    kinds = {kind for column in columns for kind in cells.faults[column].seen}
    for column in columns:
        faults = cells.faults[column]
        point, unsure = faults.get(Kind.POINT), faults.get(Kind.AMBIGUOUS)
        if point is not None:
            refused.append(
                Fault(
                    "one decimal mark",
                    f"commas in some numbers and a point in {point.shown}, {point.where}, column "
                    f"{table.names[column]!r}",
                    "write numbers with decimal points and without separators of thousands",
                )
            )
        if unsure is not None and Kind.COMMA not in kinds:
            refused.append(
                Fault(
                    "decimal points, or decimal commas that are no separators of thousands",
                    f"{unsure.shown} in {unsure.where}, column {table.names[column]!r}",
                    "write numbers with decimal points and without separators",
                )
            )
    return refused


def words_of(
    table: Table, cells: Cells, features: Sequence[int]
) -> tuple[dict[int, tuple[str, ...]], Mapping[int, tuple[str, ...]], list[Fault]]:
    """Column -> categories of the features that hold words, column -> cells, and what holds no categories."""
    texts, n = [column for column in features if cells.faults[column].get(Kind.TEXT)], len(cells.numbers)
    if not texts:
        return {}, {}, []
    read = table.read((), None, texts).texts
    words: dict[int, tuple[str, ...]] = {}
    refused: list[int] = []
    for column in texts:
        faults, categories = cells.faults[column], categories_of(read[column])
        missing = faults.get(Kind.MISSING)
        few = 2 * faults.seen[Kind.TEXT].count <= n - (missing.count if missing else 0)
        sparse = svmlight.is_pair(faults.seen[Kind.TEXT].cell.strip()) and not are_dates(categories)
        if few or sparse or (are_measures(categories) and not are_dates(categories)):
            continue  # numbers, of which some are spoilt
        words[column] = categories
        if are_dates(categories) or too_many(categories, n):
            refused.append(column)
    faults_of_words: list[Fault] = []
    if refused:
        first, names = refused[0], [table.names[column] for column in refused]
        what = "dates or times" if are_dates(words[first]) else f"{len(words[first]):,} different words"
        cell = cells.faults[first].seen[Kind.TEXT]
        more = f", and the like in {len(names) - 1} more" if len(names) > 1 else ""
        faults_of_words.append(
            Fault(
                f"numbers, or at most {MAX_CATEGORIES} categories of two rows or more",
                f"{what} in column {names[0]!r} of {n:,} rows ({cell.shown} in {cell.where}){more}",
                f"make them numbers, or leave them out with drop={drop_value(names)}",
            )
        )
    return words, read, faults_of_words


def unsure_label(
    table: Table, cells: Cells, features: Sequence[int], words: Mapping[int, Sequence[str]], label: int
) -> list[Fault]:
    """Where the last column was taken as the label by a guess, and words in the first one may be it as well."""
    if list(words) != [features[0]] or cells.faults[label].get(Kind.TEXT):
        return []
    first, last = table.names[features[0]], table.names[label]
    found = f"words in column {first!r} alone, the first, and numbers in {last!r}, the last"
    return [Fault("to know the label", found, f"name it with target={first!r} or target={last!r}")]


def listed_words(table: Table, words: Mapping[int, Sequence[str]]) -> str:
    shown = [f"{table.names[column]} ({listed(categories)})" for column, categories in words.items()]
    more = f" and {len(shown) - _LISTED} more columns" if len(shown) > _LISTED else ""
    return ", ".join(shown[:_LISTED]) + more


def faults_of_features(
    table: Table,
    faults: Mapping[int, Faults],
    features: Sequence[int],
    *,
    rows: int,
    training: bool,
    gaps: bool = True,
) -> list[Fault]:
    """Of all features that are not of numbers alone, of missing values where `gaps` are faults; several columns with
    these are named together."""
    lacking = {column: missing for column in features if (missing := faults[column].get(Kind.MISSING))}
    together = gaps and len(lacking) > 1
    refused = [_gaps(table, lacking, training)] if together else []
    alone = gaps and not together
    for column in features:
        refused += faults_of_cells(
            table, faults[column], column, "", rows=rows, training=training, gaps=alone
        )
    return refused


def _gaps(table: Table, gaps: Mapping[int, Seen], training: bool) -> Fault:
    first, names = next(iter(gaps.values())), [table.names[column] for column in gaps]
    counts = [f"{table.names[column]} ({missing.count})" for column, missing in gaps.items()]
    return Fault(
        "numbers in every row",
        f"missing values in {len(gaps)} columns: {listed_names(counts)}; the first is {first.shown} in {first.where}, "
        f"column {names[0]!r}",
        "fill them, or leave out the rows (missing='rows')"
        + (f", or the columns with drop={drop_value(names)}" if training else ""),
    )


def faults_of_cells(
    table: Table,
    faults: Faults,
    column: int,
    what: str,
    *,
    rows: int,
    training: bool = False,
    gaps: bool = True,
) -> list[Fault]:
    """Cells of the column, of so many rows, that are no numbers, or missing where `gaps` are faults, or others than
    float64 holds."""
    name = f"{what}column {table.names[column]!r}"
    text, missing = faults.get(Kind.TEXT), faults.get(Kind.MISSING)
    drop = f" (drop={drop_value([table.names[column]])})"
    column_out = f", or leave the column out{drop}" if training else ""
    rows_out = f", or leave out such rows (missing='rows'){f', or the column{drop}' if training else ''}"
    row_out = f", or leave out the row{f' or the column{drop}' if training else ''}"
    refused: list[Fault] = []
    if text is not None:
        more = f" and {text.count - 1} more" if text.count > 1 else ""
        remedy = _remedy_of_text(text.cell, column_out, row_out)
        refused.append(Fault(f"a number in {name}", f"{text.shown} in {text.where}{more}", remedy))
    if missing is not None and gaps:
        more = f" and {missing.count - 1} more missing in this column" if missing.count > 1 else ""
        found = f"{missing.shown} in {missing.where}{more}"
        refused.append(Fault(f"a number in {name}", found, f"fill it{rows_out}"))
    percent = faults.get(Kind.PERCENT)
    if percent is not None and percent.count < rows - (missing.count if missing else 0):
        refused.append(
            Fault(
                f"percent signs in all cells of {name} or in none",
                f"{percent.shown} in {percent.where}, one of {percent.count:,} in {rows:,} rows",
                f"write numbers alone{column_out}",
            )
        )
    infinite, rounded = faults.get(Kind.INFINITE), faults.get(Kind.ROUNDED)
    if infinite is not None:
        found = f"{infinite.shown} in {infinite.where}"
        refused.append(Fault(f"finite numbers in {name}", found, f"fill it{row_out}"))
    if rounded is not None:
        found = f"{rounded.shown} in {rounded.where}"
        remedy = f"subtract an offset{column_out}"
        refused.append(Fault(f"integers up to 2^53 in {name}, as float64 holds", found, remedy))
    return refused


def _remedy_of_text(cell: str, column_out: str, row_out: str) -> str:
    """What helps where a cell of text stands among numbers."""
    if is_number(cell):  # of a table whose columns have types
        return f"it is text: store the column as numbers{column_out}"
    if looks_grouped(cell):
        return f"write numbers without separators of thousands{column_out}"
    if svmlight.is_pair(cell.strip()):
        return svmlight.REMEDY
    if is_measure(cell.strip()):
        return f"write numbers alone, as 12, 0.5 or 1e-3{column_out}"
    return f"mend it{row_out}"


def listed_names(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] or "''" for name in names[:_LISTED])
    return shown + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def drop_value(names: Sequence[str]) -> str:
    """Names as Python takes them for `drop`."""
    return repr(list(names))
