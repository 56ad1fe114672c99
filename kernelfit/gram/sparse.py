"""Sparse rows: products of what is there, and differences of rows for pairs that lie close together.

Rows are not centred, which would fill them: distances have the digits that |x|^2 + |x'|^2 - 2 <x, x'> leaves, and all
of them where the pair is close and is subtracted (`kernelfit.gram.distances`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import positive
from kernelfit.errors import InputError
from kernelfit.gram.arrays import as_array, is_sparse, refuse_rounding
from kernelfit.gram.points import Points, RowVectors
from kernelfit.typing import Array, Float

# Squares of rows beyond these, and products of them, are too near the ends of float64.
_SMALLEST, _LARGEST = 2.0**-200, 2.0**200
# Numbers of the rows that the median rule sees, at most.
_SEEN = 2**25


class SparsePoints(Points):
    """n rows of d features of which few are not zero, as scipy's CSR; see `Points`.

    A strip of them as an array is a strip of n d numbers: kernels of distances and inner products never ask for it.
    """

    sparse = True
    values: Any

    def __init__(
        self, rows: Any, scale: float | None = None, like: Points | None = None, name: str = "X"
    ) -> None:
        from scipy.sparse import csr_array  # 20 MB that other rows do without

        rows = rows if is_sparse(rows) else as_array(rows, name)
        require_rows(rows, name)
        values = csr_array(rows)
        if values.dtype.kind not in "buif":
            raise InputError(
                f"{name}: got dtype {values.dtype}, expected integers or floats; convert it first"
            )
        if values.shape[1] == 0:
            raise InputError(f"{name}: got 0 features, expected at least one column")
        if like is not None and values.shape[1] != like.shape[1]:
            raise InputError(
                f"{name}: got {values.shape[1]} features, expected {like.shape[1]} as in training"
            )
        refuse_rounding(values, name)
        values = values.astype(np.float64)
        values.sum_duplicates()
        values.eliminate_zeros()
        if not np.isfinite(values.data).all():
            row = int(np.searchsorted(values.indptr, np.argmin(np.isfinite(values.data)), side="right") - 1)
            raise InputError(f"{name}: got a value that is not finite in row {row}, expected finite numbers")
        self.values, self.shape = values, (values.shape[0], values.shape[1])
        self.scale = 1.0 if scale is None else positive("scale", scale)
        self._rows = values if self.scale == 1.0 else values * self.scale
        magnitudes = np.abs(self._rows.data)
        if magnitudes.size and not (magnitudes.min() > _SMALLEST and magnitudes.max() < _LARGEST):
            raise InputError(
                f"{name}: sparse rows hold numbers from {magnitudes.min():.3g} to {magnitudes.max():.3g}, expected "
                "1e-60 to 1e60; rescale X, or make it dense"
            )
        n = values.shape[0]
        self.exact, self.centre, self._reach = False, 0, 1
        self.median, self._offset = None, None
        self.plain, self.length, self.factor = True, 1.0, 1.0
        squares = np.asarray(self._rows.power(2).sum(axis=1), dtype=np.float64).reshape(n)
        self.vectors = RowVectors(squares, np.zeros(n), squares, np.ones(n))
        self.lengths, self.domain_sq_norms = np.sqrt(squares), squares

    @property
    def nbytes(self) -> int:
        stored = sum(part.nbytes for part in self.arrays().values())
        return int(stored * (1 if self.scale == 1.0 else 2) + 2 * self.lengths.nbytes)

    @property
    def arithmetic(self) -> str:
        return "float64, of what is not zero"

    def block(self, start: int, stop: int, exact: bool) -> Any:
        """Rows start:stop as CSR."""
        return self._rows[start:stop]

    def about_origin(self, start: int, stop: int) -> Any:
        return self._rows[start:stop]

    def scaled(self, start: int, stop: int) -> Float:
        return np.asarray(self._rows[start:stop].toarray())

    def unscaled(self, start: int, stop: int) -> Float:
        return np.asarray(self.values[start:stop].toarray())

    def compact(self, stop: int) -> Float:
        """The first rows without the columns in which all of them are zero; fewer than `stop` of very wide ones."""
        rows = self._rows[:stop]
        while rows.shape[0] > 2 and rows.shape[0] * len(np.unique(rows.indices)) > _SEEN:
            rows = rows[: rows.shape[0] // 2]
        used = np.unique(rows.indices)
        return np.asarray(rows[:, used].toarray()) if used.size else np.zeros((rows.shape[0], 1))

    def take(self, rows: NDArray[Any], like: Points | None = None) -> Points:
        return SparsePoints(self.values[rows], self.scale, like)

    def arrays(self) -> dict[str, Array]:
        ends, indices = self.values.indptr.astype(np.int64), self.values.indices.astype(np.int64)
        return {"_data": self.values.data, "_indices": indices, "_indptr": ends}

    @property
    def width(self) -> int:
        return -(-self.values.nnz // max(1, self.shape[0]))

    def equal_rows(self) -> tuple[tuple[int, ...], ...]:
        groups: dict[tuple[bytes, bytes], list[int]] = {}
        data, indices, ends = self.values.data, self.values.indices, self.values.indptr
        for row in range(self.shape[0]):
            part = slice(ends[row], ends[row + 1])
            groups.setdefault((indices[part].tobytes(), data[part].tobytes()), []).append(row)
        return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def points_of(X: Any, scale: float | None, like: Points) -> Points:
    """New rows like those of training: sparse where those are."""
    if like.sparse:
        return SparsePoints(X, scale, like)
    return Points(X.toarray() if is_sparse(X) else X, scale, like)


def require_rows(X: Any, name: str) -> None:
    """Raise `InputError` where it is one row, or another number of dimensions."""
    if X.ndim != 2:
        raise InputError(
            f"{name}: got {X.ndim} dimension{'s' * (X.ndim != 1)}, expected rows (n, d); use reshape(1, -1) for one row"
        )


def dense_bytes(X: Any) -> int:
    """What a sparse X takes as an array."""
    return int(X.shape[0]) * int(X.shape[1]) * int(X.dtype.itemsize)
