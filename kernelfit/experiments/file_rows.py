"""Which rows of the user's file an error is about, where training rows stand in another order than there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from kernelfit.datasets import Dataset
from kernelfit.errors import DuplicateRowsError, NotPositiveDefiniteError

# Groups of rows that a message lists, and rows of each.
_LISTED = 8


@contextmanager
def named_as_in_the_file(dataset: Dataset, kept: NDArray[np.int64] | None = None) -> Iterator[None]:
    """Add to an error about training rows what their file calls them; `kept` are the rows that K is of."""
    try:
        yield
    except (DuplicateRowsError, NotPositiveDefiniteError) as error:
        if dataset.origin is not None:
            error.args = (f"{error}; {_listed(_groups(error), dataset, kept)}", *error.args[1:])
        raise


def _groups(error: DuplicateRowsError | NotPositiveDefiniteError) -> Sequence[Sequence[int]]:
    if isinstance(error, DuplicateRowsError):
        return error.groups
    return [[row for row in (error.row, error.neighbour) if row >= 0]]


def _listed(groups: Sequence[Sequence[int]], dataset: Dataset, kept: NDArray[np.int64] | None) -> str:
    assert dataset.origin is not None
    called = [
        ", ".join(str(dataset.origin[row if kept is None else int(kept[row])]) for row in group[:_LISTED])
        for group in groups[:_LISTED]
    ]
    counted = "" if isinstance(dataset.origin, tuple) else ", counted from 0"
    return f"in {dataset.name} these are {'; '.join(called)}{counted}"
