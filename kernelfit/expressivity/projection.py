"""The shared projection t_i = <a, z_i> that makes a sample one-dimensional without merging two of its points.

For integer data (pixels) `a` has integer entries small enough that every t, every difference of two t and
every quarter of one is an integer multiple of 1/4 below 2^53: projections in float64 are then exact, whatever
the order of summation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DuplicateRowsError, InputError

EXACT_BITS = 50  # |t| < 2^50, so 4 |t - t'| < 2^53, the last consecutive integer of float64
ROWS = 4096  # rows converted to float64 at a time
REDRAWS = 16  # a tie has probability below 1e-3 at n = 50,000, so sixteen in a row mean something else


@dataclass(frozen=True, eq=False)
class Projection:
    """`a` (d,) and the sample it separates: positions `t` (n',) ascending, `rows` (n',) they came from."""

    a: NDArray
    t: NDArray
    rows: NDArray[np.int64]


def check_rows(X: NDArray) -> NDArray:
    """X as a matrix (n, d) of integers or float64; errors for other shapes and types."""
    X = np.asarray(X)
    if X.ndim != 2 or 0 in X.shape:
        raise InputError(
            f"X: got shape {X.shape}, expected (n, d) with n, d >= 1; reshape to one row per sample"
        )
    if X.dtype == np.bool_:
        return X.astype(np.uint8)
    if X.dtype.kind in "iuO":
        return X
    if X.dtype != np.float64:
        raise InputError(
            f"X: got {X.dtype}, whose projections of different rows merge; expected integers (pixels) or "
            "float64: pass the integer pixels, or X.astype(float64)"
        )
    if not np.isfinite(X).all():
        raise InputError("X: got NaN or infinite entries, expected finite numbers; drop or repair those rows")
    return X


def project(X: NDArray, a: NDArray) -> NDArray:
    """t = X a, (n,): float64 (exact for integer X and an `a` of `separate`), or object for object `a`."""
    if a.dtype == object:
        return cast(NDArray, X.astype(object) @ a)
    t = np.empty(len(X))
    for first in range(0, len(X), ROWS):
        t[first : first + ROWS] = X[first : first + ROWS].astype(np.float64) @ a
    return t


def draw(X: NDArray, seed: int) -> NDArray[np.float64]:
    """A random direction (d,): integers for integer X (see the module's text), Gaussian for float64."""
    rng = np.random.default_rng(seed)
    d = X.shape[1]
    if X.dtype.kind == "f":
        return rng.standard_normal((d,))
    largest = max(abs(int(X.max())), abs(int(X.min())), 1)
    bound = 2**EXACT_BITS // (d * largest)
    if bound < 1:
        raise InputError(
            f"X: got integers up to {largest} in {d} columns, expected d * max|X| < 2^{EXACT_BITS} so that "
            "projections are exact; pass float64"
        )
    return rng.integers(-bound, bound, size=d, endpoint=True).astype(np.float64)


def separate(X: NDArray, y: NDArray, seed: int) -> Projection:
    """A direction under which different rows of X (n, d) have different positions.

    Equal rows with equal targets count once; equal rows with different targets raise DuplicateRowsError. When
    two different rows meet, the direction is drawn again.
    """
    for attempt in range(REDRAWS):
        a = draw(X, seed + attempt)
        t = project(X, a)
        order = np.argsort(t, kind="stable")
        tied = np.flatnonzero(t[order[1:]] == t[order[:-1]])
        pairs = [(int(order[i]), int(order[i + 1])) for i in tied]
        if any(not np.array_equal(X[i], X[j]) for i, j in pairs):
            continue
        _refuse_conflicts(pairs, y)
        first_of_run = np.ones(len(t), dtype=bool)
        first_of_run[tied + 1] = False
        rows = order[first_of_run]
        return Projection(a=a, t=t[rows], rows=rows)
    raise InputError(
        f"X: {REDRAWS} random projections all merged different rows; expected rows that differ by more "
        "than rounding"
    )


def _refuse_conflicts(pairs: list[tuple[int, int]], y: NDArray) -> None:
    """Raise where equal rows (chains of `pairs`) carry different targets."""
    groups: list[list[int]] = []
    for i, j in pairs:
        if groups and groups[-1][-1] == i:
            groups[-1].append(j)
        else:
            groups.append([i, j])
    bad = tuple(tuple(sorted(group)) for group in groups if any((y[i] != y[group[0]]).any() for i in group))
    if bad:
        raise DuplicateRowsError(
            f"X: {len(bad)} sets of equal rows have different targets (first: rows "
            f"{', '.join(map(str, bad[0]))}), which no function of X fits; drop or relabel them",
            groups=bad,
        )
