"""Rows of a table in which a number or the label is missing, left out where that is asked for.

The table is then read as if the file had not these rows. An empty cell of a column of words is a word of its own, and a
column without any value is left out itself: neither takes a row with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernelfit.errors import InputError

from .cells import Cells, Kind, Table, is_missing
from .table_faults import drop_value, listed_names, rows_without_label


def complete_rows(
    table: Table, cells: Cells, numeric: Sequence[int], label: int | None, *, words: bool
) -> tuple[Table, list[str]]:
    """The table without rows in which one of the columns `numeric`, which were read into `cells`, or the label has no
    value, and a note of them; the table itself and no note where there are none. `words` : the label is one of words.

    Raises `InputError` where no row is left.
    """
    n, name = len(cells.numbers), table.path.name
    gaps = {column: _count(cells, column) for column in numeric}
    lacking = [column for column, count in gaps.items() if 0 < count < n]
    texts = table.read((), None, lacking).texts
    absent = {
        column: [row for row, cell in enumerate(texts[column]) if is_missing(cell)] for column in lacking
    }
    if label is not None:
        unlabelled = _without_label(cells, label, words)
        absent |= {label: unlabelled} if unlabelled else {}
    out = np.unique([row for rows in absent.values() for row in rows]).astype(np.int64)
    if not len(out):
        return table, []
    counts = listed_names([f"{table.names[column]} ({len(rows):,})" for column, rows in absent.items()])
    if len(out) == n:
        raise InputError(
            f"missing: got rows, but in each of the {n:,} rows of {name} a value is missing: {counts}; leave columns "
            f"out with drop={drop_value([table.names[column] for column in lacking])}"
        )
    are = "is" if len(out) == 1 else "are"
    note = f"{name}: {len(out):,} of {n:,} rows {are} left out, as values are missing: {counts}"
    return table.without(out), [note]


def _count(cells: Cells, column: int) -> int:
    seen = cells.faults[column].get(Kind.MISSING)
    return seen.count if seen else 0


def _without_label(cells: Cells, label: int, words: bool) -> list[int]:
    if words or cells.faults[label].get(Kind.TEXT):
        return rows_without_label(cells)
    if cells.faults[label].get(Kind.BOOLEAN):
        assert cells.label is not None
        return [int(row) for row in np.flatnonzero(np.isnan(cells.label))]
    return [row for row, cell in enumerate(cells.label_texts) if is_missing(cell)]
