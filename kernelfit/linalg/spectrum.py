"""Leave-one-out for any number of ridges from one eigendecomposition of a K that is held in memory.

K = Q diag(s) Q^T once, about 9 n^3 flops. For every ridge r, A = K + r I has

    A^-1 Y = Q (s + r)^-1 Q^T Y,    (A^-1)_ii = sum_k Q_ik^2 / (s_k + r),

2 n^2 (c + 1) flops a ridge, and row i left out leaves the residual (A^-1 Y)_i / (A^-1)_ii: Allen's PRESS (The
relationship between variable selection and data augmentation, 1974) for kernels; Golub, Heath and Wahba, Generalized
cross-validation as a method for choosing a good ridge parameter (1979).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernelfit.typing import Float, Span


class Spectrum:
    """Eigenvalues s (n,), ascending, and eigenvectors Q (n, n) of a K whose largest diagonal entry is `scale`."""

    def __init__(self, values: Float, vectors: Float, scale: float) -> None:
        self.values, self.vectors, self.scale = values, vectors, scale

    @classmethod
    def of(cls, gram: Float) -> Spectrum:
        """That of K (n, n), both triangles, by LAPACK's divide and conquer in the calling thread."""
        scale = float(np.abs(np.diagonal(gram)).max())
        values, vectors = np.linalg.eigh(gram)
        return cls(values, vectors, scale)

    def is_regular(self, ridge: float, margin: float = 10.0) -> bool:
        """Whether the least eigenvalue of K + r I is above `margin` n u K_ii: below 10 A^-1 has hardly a digit."""
        threshold = margin * len(self.values) * np.finfo(np.float64).eps / 2.0 * self.scale
        return bool(self.values[0] + ridge > threshold)

    def solve(
        self, coordinates: Float, ridges: Sequence[float], rows: Span | None = None
    ) -> tuple[Float, Float]:
        """A^-1 Y (h, R, c) and diag(A^-1) (h, R) for R ridges, in some rows; `coordinates` (n, c) are Q^T Y."""
        vectors = self.vectors if rows is None else self.vectors[slice(*rows)]
        weights = 1.0 / (self.values[:, None] + np.asarray(ridges, dtype=np.float64))
        n, c = coordinates.shape
        weighted = (weights[:, :, None] * coordinates[:, None, :]).reshape(n, -1)
        alpha = (vectors @ weighted).reshape(len(vectors), len(ridges), c)
        return alpha, np.square(vectors) @ weights

    def left_out(self, targets: Float, ridges: Sequence[float], margin: float = 10.0) -> list[Float | None]:
        """y_i - f_{-i}(x_i) (n, c) for every ridge; None where K + r I is not regular by that margin."""
        coordinates = self.vectors.T @ targets
        n, c = targets.shape
        residuals: list[Float | None] = [None] * len(ridges)
        regular = [index for index, ridge in enumerate(ridges) if self.is_regular(ridge, margin)]
        group = max(1, n // c)
        for start in range(0, len(regular), group):
            part = regular[start : start + group]
            alpha, inverse = self.solve(coordinates, [ridges[index] for index in part])
            for position, index in enumerate(part):
                residuals[index] = alpha[:, position] / inverse[:, position, None]
        return residuals
