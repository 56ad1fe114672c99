"""Columns of a table that may be something else than the numbers that are read: said, never changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kernelfit.typing import Float

from .cells import Table
from .table_faults import drop_value

# What often stands for a missing value.
_SENTINELS = (-9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0)
# It is one where it repeats, and is so many times as large as any other value.
_FAR = 5.0
# Of more rows than these, numbers that count them are hardly values.
_FEW_ROWS = 20
# Dates that are written as one number lie within these years.
_FIRST_YEAR, _LAST_YEAR = 1900, 2100


def remarks(table: Table, features: Sequence[int], X: Float, label: int, labels: Float | None) -> list[str]:
    """Notes on names that stand twice, features that are the label or count the
    rows, dates as numbers, numbers for missing values."""
    name, notes = table.path.name, []
    for called, often in Counter(table.names[column] for column in (*features, label)).items():
        if often > 1 and called and table.named:
            notes.append(f"{name}: {often} columns are called {called!r} and told apart by their order")
    for index, column in enumerate(features):
        values, shown = X[:, index], repr(table.names[column])
        if table.named and not table.names[column]:
            notes.append(
                f"{name}: column {column}, which has no name, is taken as a feature; leave an index out "
                f"(drop=['{column}'])"
            )
        if len(values) and _are_dates(values):
            notes.append(
                f"{name}: column {shown} holds numbers that look like dates, {values[0]:.0f}, taken as they stand; "
                f"make them days since one of them, or leave the column out (drop={drop_value([table.names[column]])})"
            )
        if labels is not None and len(values) > 1 and np.array_equal(values, labels):
            notes.append(
                f"{name}: column {shown} is the label itself in every row; leave it out "
                f"(drop={drop_value([table.names[column]])}) unless new rows will have it"
            )
        if len(values) > _FEW_ROWS and _count_rows(values):
            notes.append(
                f"{name}: column {shown} counts the rows, taken as a feature; leave it out "
                f"(drop={drop_value([table.names[column]])}) unless it says something of them"
            )
        if far := _sentinel(values):
            notes.append(
                f"{name}: column {shown} holds {far[0]:.0f} in {far[1]} rows, far from all others, taken as a number; "
                "where it stands for a missing value, fill it or leave out the rows"
            )
    return notes


def _are_dates(values: Float) -> bool:
    """Whether all are years, months and days in one number, 20200131, also with a time behind, 20200131235959, and not
    all of them equal."""
    smallest, largest = values.min(), values.max()
    for unit in (1, 10**4, 10**6):
        if _FIRST_YEAR * 10000 * unit < smallest < largest < (_LAST_YEAR + 1) * 10000 * unit:
            months, days = values // (100 * unit) % 100, values // unit % 100
            in_year = (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
            return bool(np.all(in_year & (values == np.floor(values))))
    return False  # NaN among them as well


def _count_rows(values: Float) -> bool:
    """Whether they are 0, 1, 2, ... or 1, 2, 3, ..."""
    return values[0] in (0, 1) and np.array_equal(values, values[0] + np.arange(len(values)))


def _sentinel(values: Float) -> tuple[float, int] | None:
    """A value that often stands for a missing one, and in how many rows, where no other is near it."""
    for value in {float(values.min(initial=0.0)), float(values.max(initial=0.0))} & set(_SENTINELS):
        others = values[values != value]
        count = len(values) - len(others)
        if count > 1 and len(others) and abs(value) > _FAR * np.abs(others).max():
            return value, count
    return None
