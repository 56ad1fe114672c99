"""What is checked before n^3/3 flops are spent: targets, and rows that occur twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import finite, shape_of
from kernelfit.errors import DuplicateRowsError, InputError, shown
from kernelfit.frozen import frozen
from kernelfit.gram.arrays import as_array, exact_floats, refuse_dates
from kernelfit.gram.points import Points
from kernelfit.typing import Float

# Rows of a message list at most this many groups.
_LISTED = 5
# Numbers of rows that are looked at at a time.
_NUMBERS = 2**22


@frozen
class Duplicates:
    """Groups of equal rows, each in ascending order, the first row of a group being the one that is kept."""

    groups: tuple[tuple[int, ...], ...]

    @property
    def dropped(self) -> NDArray[np.int64]:
        """Every row of a group but its first, ascending."""
        return np.array(sorted(row for group in self.groups for row in group[1:]), dtype=np.int64)

    def summary(self) -> str:
        """One line about the rows that are left out."""
        dropped = self.dropped
        listed = ", ".join(map(str, dropped[:10])) + (", ..." if len(dropped) > 10 else "")
        if len(dropped) == 1:
            return f"1 row repeats an earlier row with the same target and was left out: {listed}"
        return f"{len(dropped)} rows repeat an earlier row with the same target and were left out: {listed}"


def as_targets(targets: ArrayLike, n: int) -> Float:
    """Targets as a C-ordered float64 (n, c), or an error that names what is wrong."""
    array = as_array(targets, "Y")
    if array.dtype.kind not in "buif":
        refuse_dates(array, "Y")
        raise InputError(
            f"Y: got dtype {array.dtype}, expected numbers; encode classes as one-hot columns, or use KernelClassifier"
        )
    if array.ndim not in (1, 2):
        raise InputError(f"Y: got {array.ndim} dimensions, expected (n,) or (n, c)")
    if array.shape[0] != n:
        raise InputError(f"Y: got {array.shape[0]} rows, expected {n} as in X")
    if array.ndim == 2 and array.shape[1] == 0:
        raise InputError("Y: got 0 columns, expected at least one right-hand side")
    array = exact_floats(array, "Y")
    result = np.array(array if array.ndim == 2 else array[:, None], dtype=np.float64, order="C")
    if not np.logical_and.reduce(np.isfinite(result), axis=None):
        row, column = (int(index) for index in np.argwhere(~np.isfinite(result))[0])
        raise InputError(
            f"Y: got {result[row, column]} at row {row}, column {column}, expected finite numbers"
        )
    return result


def find_duplicates(points: Points) -> Duplicates:
    """Exactly equal rows; n d bytes read."""
    return Duplicates(points.equal_rows())


def refuse_conflicts(duplicates: Duplicates, targets: Float, rows: NDArray[np.int64] | None = None) -> None:
    """Raise where equal rows carry different targets: nothing interpolates them. `rows` are their indices in X."""
    conflicts = tuple(
        group for group in duplicates.groups if (targets[list(group)] != targets[group[0]]).any()
    )
    if conflicts:
        if rows is not None:
            conflicts = tuple(tuple(int(rows[i]) for i in group) for group in conflicts)
        raise DuplicateRowsError(
            f"X: equal rows carry different targets, which no function interpolates: rows {listed(conflicts)}; "
            "drop all but one of each, or give ridge > 0 (or 'auto')",
            conflicts,
        )


def listed(groups: tuple[tuple[int, ...], ...]) -> str:
    """Groups of rows as text, `0, 3; 1, 5`, the first few of many."""
    text = "; ".join(", ".join(map(str, group)) for group in groups[:_LISTED])
    return text + (f" and {len(groups) - _LISTED} more groups" if len(groups) > _LISTED else "")


def drop_duplicates(
    points: Points, targets: Float, ridge: float, note: Callable[[str], None]
) -> tuple[Float, NDArray[np.int64]]:
    """Targets (m, c) of the rows (m,) that are kept: with ridge = 0 equal rows make K singular, and the first stays.

    What is left out is a line to `note`. Raises `DuplicateRowsError` where equal rows have different targets.
    """
    kept = np.arange(points.shape[0])
    if ridge > 0:
        return targets, kept
    duplicates = find_duplicates(points)
    if not duplicates.groups:
        return targets, kept
    refuse_conflicts(duplicates, targets)
    note(duplicates.summary())
    kept = np.setdiff1d(kept, duplicates.dropped)
    return np.ascontiguousarray(targets[kept]), kept


def nearest_neighbour(points: Points, row: int) -> tuple[int, float]:
    """The other row nearest to `row` and its Euclidean distance in the kernel's domain; (-1, inf) if it is alone."""
    target = points.scaled(row, row + 1)
    best, distance = -1, float("inf")
    height = max(1, min(1024, _NUMBERS // points.shape[1]))
    for start in range(0, points.shape[0], height):
        gaps = ((points.scaled(start, start + height) - target) ** 2).sum(axis=1)
        if start <= row < start + len(gaps):
            gaps[row - start] = np.inf
        nearest = int(np.argmin(gaps))
        if gaps[nearest] < distance:
            best, distance = start + nearest, float(gaps[nearest])
    return best, float(np.sqrt(distance))


def as_shift(name: str, value: Any) -> float:
    """A ridge or a jitter as a number, or an error that names the argument."""
    try:
        number = finite(name, float(value) if isinstance(value, str) else value)
    except ValueError:
        number = np.nan
    if not number >= 0:
        words = " or 'auto'" if name == "ridge" else ""
        raise InputError(f"{name}: got {shown(value)}, expected a finite number >= 0{words}")
    return number


def as_ridges(value: Any) -> tuple[float, ...] | None:
    """A ridge for each target as numbers; None for a single one."""
    if isinstance(value, float) or not (shape := shape_of("ridge", value)):
        return None
    if len(shape) != 1 or shape == (0,):
        raise InputError(f"ridge: got shape {shape}, expected a number or one for each target (c,)")
    return tuple(as_shift("ridge", each) for each in value)
