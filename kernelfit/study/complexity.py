"""What the theory of generalization says of an interpolant, evaluated: does it tell true labels from random ones?

Bounds and quantities (n rows, k(x, x) <= kappa^2, f_c of norm B_c):

- empirical Rademacher complexity of the ball |f| <= B: (B / n) E sqrt(s^T K s) over signs s, at most B sqrt(tr K) / n
  (Bartlett and Mendelson 2002). It depends on the rows, not on their labels, but for B;
- margin bound for class c against the rest, y = +-1 and y f = 1 on every training row: with probability 1 - delta the
  test error is at most 2 B sqrt(tr K) / n + 3 sqrt(log(2 / delta_k) / 2n), delta_k = delta / k (k + 1) for
  k = ceil(log2 B), which pays for a B that is chosen after the labels (Mohri, Rostamizadeh and Talwalkar, theorem 5.8);
- effective dimension tr K (K + r I)^-1 of ridge r, and the spectrum of K;
- alignment tr(Y^T K Y) / (|K|_F |Y Y^T|_F) of the centred one-hot labels (Cristianini et al. 2001);
- stability: leaving one row out moves a ridge solution's values by at most kappa^2 |y_i - f_-i(x_i)| / r; for a loss of
  slope 1 the constant kappa^2 / r knows no labels (Bousquet and Elisseeff 2002).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from kernelfit.cpu.memory import available_memory
from kernelfit.cpu.pool import CpuBackend
from kernelfit.datasets.corruptions import random_labels
from kernelfit.errors import InputError
from kernelfit.gram.rectangle import rectangle
from kernelfit.gram.source import KernelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.linalg.leave_one_out import leave_one_out_predictions
from kernelfit.metrics import error_rate, one_hot
from kernelfit.study.labelled import KernelRows
from kernelfit.typing import Float

#: ridges, in units of the mean diagonal of K, at which effective dimension and stability are given
RIDGES = (1e-6, 1e-4, 1e-2, 1.0)
#: probability with which the bounds may fail
DELTA = 0.05
# Draws of signs for the Monte-Carlo complexity.
_DRAWS = 200
# Eigenvalues that are reported, at ranks that grow by powers.
_RANKS = 40


@dataclass(frozen=True)
class LabelComplexity:
    """What the bounds say of the interpolant of one labelling, and what came.

    Attributes
    ----------
    labels : `true` or `random`
    rkhs_norm : |f| for one-hot targets; `norms` (c,) those of class c against the rest, targets +-1
    rademacher, rademacher_error, rademacher_closed : of the ball of radius max `norms`: by Monte Carlo, the standard
        error of that mean, and the closed bound, which the expectation does not pass
    bound : the margin bound on a class's test error, the mean over classes; vacuous from 0.5, which guessing gets
    binary_error : the test error of class against rest, the mean over classes: what `bound` bounds
    test_error, loo_error : of the c classes, fractions of rows
    alignment : of K with the labels
    """

    labels: str
    rkhs_norm: float
    norms: tuple[float, ...]
    rademacher: float
    rademacher_error: float
    rademacher_closed: float
    bound: float
    binary_error: float
    test_error: float
    loo_error: float
    alignment: float


@dataclass(frozen=True)
class Memorisation:
    """Which training rows the interpolant memorises, and which test rows hang on them.

    Attributes
    ----------
    memorised : training rows that the others do not predict, the one with the largest loss of its own score first
    drop : how much of its own class's score each loses when it is left out
    predicted : the class that the others give it
    hanging : (training row, test row) whose class is right with the training row and wrong without it
    hanging_rows : how many test rows have such a training row
    """

    memorised: tuple[int, ...]
    drop: tuple[float, ...]
    predicted: tuple[int, ...]
    hanging: tuple[tuple[int, int], ...]
    hanging_rows: int

    def of_rows(self, kept: NDArray[np.int64]) -> Memorisation:
        """The same with training rows by their numbers in a data set of which the rows `kept` (n,) were solved."""
        return replace(
            self,
            memorised=tuple(int(kept[i]) for i in self.memorised),
            hanging=tuple((int(kept[i]), row) for i, row in self.hanging),
        )


@dataclass(frozen=True)
class Complexity:
    """The spectrum, what needs no labels, and both labellings beside each other."""

    eigenvalues: tuple[tuple[int, float], ...]
    trace: float
    ridges: tuple[dict[str, float], ...] = field(hash=False)
    labellings: tuple[LabelComplexity, ...]
    memorisation: Memorisation

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Spectral:
    """K of the training rows by its eigenvectors: every ridge and labelling in O(n^2).

    `memory` is the limit in bytes; by default what is available.
    """

    def __init__(self, rows: KernelRows, threads: int | None = None, memory: int | None = None) -> None:
        n = rows.n
        needed = 5 * 8 * n**2 + 8 * n * len(rows.y_test)
        limit = available_memory() if memory is None else memory
        if needed > limit:
            raise InputError(
                f"n_train: got {n:,} rows, whose eigenvectors take {needed / 1e9:.1f} GB of {limit / 1e9:.1f}, "
                "expected fewer"
            )
        self.rows = rows
        with CpuBackend(threads) as backend:
            train = rows.rows(slice(n))
            self.gram = submatrix(KernelGram(rows.kernel, train), np.arange(n), backend)
            self.test = rectangle(rows.kernel, rows.rows(slice(n, None)), train, backend)
        self.values, self.vectors = eigh(self.gram)
        if self.values[0] <= n * np.finfo(float).eps * self.values[-1]:
            raise InputError(
                f"kernel: K has eigenvalues from {self.values[0]:.1e} to {self.values[-1]:.1e}, expected a least one "
                "above rounding; take a larger gamma, or rows that are less alike"
            )

    @property
    def mean_diagonal(self) -> float:
        return float(np.trace(self.gram)) / len(self.gram)

    def solve(self, targets: Float, ridge: float = 0.0) -> Float:
        """(K + ridge I)^-1 Y."""
        solved: Float = self.vectors @ ((self.vectors.T @ targets) / (self.values + ridge)[:, None])
        return solved

    def inverse_diagonal(self, ridge: float = 0.0) -> Float:
        """diag((K + ridge I)^-1) (n,)."""
        diagonal: Float = np.square(self.vectors) @ (1.0 / (self.values + ridge))
        return diagonal

    def left_out(self, targets: Float, ridge: float = 0.0) -> Float:
        """f_-i(x_i) (n, c)."""
        return leave_one_out_predictions(targets, self.solve(targets, ridge), self.inverse_diagonal(ridge))


def complexity(spectral: Spectral, *, ridges: Sequence[float] = RIDGES, seed: int = 0) -> Complexity:
    """Spectrum, complexities, bounds, stability and memorisation for the true labels and for random ones.

    `ridges` are in units of the mean diagonal of K; `seed` draws labels and signs.
    """
    rows = spectral.rows
    drawn = random_labels(rows.y_train, rows.n_classes, seed)
    labellings = {"true": rows.y_train, "random": drawn}
    signs = np.random.default_rng([seed, 70]).choice((-1.0, 1.0), size=(rows.n, _DRAWS))
    widths = np.sqrt(np.einsum("ik,ik->k", signs, spectral.gram @ signs)) / rows.n
    ranks = np.unique(np.rint(np.geomspace(1, rows.n, _RANKS)).astype(int))
    return Complexity(
        eigenvalues=tuple((int(rank), float(spectral.values[-rank])) for rank in ranks),
        trace=float(np.trace(spectral.gram)),
        ridges=tuple(_ridge(spectral, ridge, labellings) for ridge in ridges),
        labellings=tuple(_labelling(spectral, name, codes, widths) for name, codes in labellings.items()),
        memorisation=memorisation(spectral),
    )


def _ridge(spectral: Spectral, ridge: float, labellings: dict[str, NDArray[np.int64]]) -> dict[str, float]:
    """Effective dimension and stability at one ridge; the largest move of a value by one row left out, measured."""
    rows, added = spectral.rows, ridge * spectral.mean_diagonal
    row = {
        "ridge": ridge,
        "effective_dimension": float(np.sum(spectral.values / (spectral.values + added))),
        "stability_constant": float(spectral.gram.diagonal().max()) / added,
    }
    for name, codes in labellings.items():
        targets = one_hot(codes, rows.n_classes)
        fitted = spectral.gram @ spectral.solve(targets, added)
        row[f"largest_move_{name}"] = float(np.abs(fitted - spectral.left_out(targets, added)).max())
        scores = spectral.test @ spectral.solve(targets, added)
        row[f"test_error_{name}"] = error_rate(scores, rows.y_test)
        row[f"train_error_{name}"] = error_rate(fitted, codes)
    return row


def _labelling(spectral: Spectral, name: str, codes: NDArray[np.int64], widths: Float) -> LabelComplexity:
    """`widths`: sqrt(s^T K s) / n for each draw of signs."""
    rows, n = spectral.rows, spectral.rows.n
    targets = one_hot(codes, rows.n_classes)
    alpha, against = spectral.solve(targets), spectral.solve(2 * targets - 1)
    norms = np.sqrt(np.einsum("ic,ic->c", 2 * targets - 1, against))
    root = math.sqrt(float(np.trace(spectral.gram))) / n
    scores, signs = spectral.test @ against, 2.0 * one_hot(rows.y_test, rows.n_classes) - 1.0
    centred = targets - targets.mean(axis=0)
    size = float(np.linalg.norm(spectral.values) * np.linalg.norm(centred.T @ centred))
    # Labels that are all the same are aligned with nothing.
    alignment = float(np.sum(centred * (spectral.gram @ centred))) / size if size > 0 else math.nan
    return LabelComplexity(
        labels=name,
        rkhs_norm=float(np.sqrt(np.sum(targets * alpha))),
        norms=tuple(float(norm) for norm in norms),
        rademacher=float(norms.max() * widths.mean()),
        rademacher_error=float(norms.max() * widths.std(ddof=1) / math.sqrt(len(widths))),
        rademacher_closed=float(norms.max()) * root,
        bound=float(np.mean([margin_bound(float(norm), root, n) for norm in norms])),
        binary_error=float(np.mean(scores * signs <= 0)),
        test_error=error_rate(spectral.test @ alpha, rows.y_test),
        loo_error=error_rate(spectral.left_out(targets), codes),
        alignment=alignment,
    )


def margin_bound(norm: float, root: float, n: int) -> float:
    """2 B sqrt(tr K) / n + 3 sqrt(log(2 / delta_k) / 2n) for margins of 1; `root` is sqrt(tr K) / n. May exceed 1."""
    k = max(1, math.ceil(math.log2(max(norm, 1.0))))
    return 2 * 2.0**k * root + 3 * math.sqrt(math.log(2 * k * (k + 1) / DELTA) / (2 * n))


def memorisation(spectral: Spectral, count: int = 24) -> Memorisation:
    """Leave-one-out by every training row: what it does to its own class, and to test rows.

    Without row i the score of any row x is f(x) - p_i(x) (y_i - f_-i(x_i)), p(x) = K^-1 k(x, .): exact, no row is
    solved again. At most `count` rows and pairs are listed, those with the largest loss of score.
    """
    rows = spectral.rows
    targets = one_hot(rows.y_train, rows.n_classes)
    left_out = spectral.left_out(targets)
    index = np.arange(rows.n)
    drop = 1.0 - left_out[index, rows.y_train]
    predicted = left_out.argmax(axis=1)
    wrong = np.flatnonzero(predicted != rows.y_train)
    memorised = wrong[np.argsort(-drop[wrong], kind="stable")]
    scores = spectral.test @ spectral.solve(targets)
    right = np.flatnonzero(scores.argmax(axis=1) == rows.y_test)
    weights = spectral.solve(np.ascontiguousarray(spectral.test[right].T)).T
    moved = targets - left_out
    pairs: list[tuple[float, int, int]] = []
    for row, weight in zip(right, weights, strict=True):
        without = scores[row] - weight[:, None] * moved
        for i in np.flatnonzero(without.argmax(axis=1) != rows.y_test[row]):
            pairs.append((-float(weight[i] * moved[i, rows.y_test[row]]), int(i), int(row)))
    pairs.sort()
    return Memorisation(
        memorised=tuple(int(i) for i in memorised[:count]),
        drop=tuple(float(drop[i]) for i in memorised[:count]),
        predicted=tuple(int(predicted[i]) for i in memorised[:count]),
        hanging=tuple((i, row) for _, i, row in pairs[:count]),
        hanging_rows=len({row for _, _, row in pairs}),
    )
