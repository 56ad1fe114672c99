"""Test error against the number of random features at fixed n: up to the interpolation threshold, and past it.

phi(x) = sqrt(2 / p) cos(W x + b), W normal with variance 2 gamma, b uniform: <phi(x), phi(x')> tends to
exp(-gamma |x - x'|^2) as p grows (Rahimi and Recht 2007). Least squares of least norm on p features: for p < n it
misses labels, at p = n it fits them with a norm that explodes, and past n norm and test error fall towards those of the
kernel's interpolant (Belkin, Hsu, Ma and Mandal 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelfit.arguments import positive
from kernelfit.errors import InputError, NotPositiveDefiniteError
from kernelfit.metrics import error_rate, one_hot
from kernelfit.solver.solve import solve
from kernelfit.study.labelled import KernelRows
from kernelfit.typing import Float

#: numbers of features beside n
SHARES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True)
class FeatureCount:
    """Least squares of least norm on p random features.

    `rkhs_norm` is |w|; `refused` says why there is none, as where rounding leaves K of p >= n features singular.
    """

    p: int
    share: float
    seed: int
    train_error: float | None
    test_error: float | None
    rkhs_norm: float | None
    refused: str | None = None


def counts_of(n: int, shares: Sequence[float] = SHARES) -> list[int]:
    """Numbers of features, in units of n. Raises `InputError` for shares that are not above 0."""
    return sorted({max(1, round(share * n)) for share in checked(shares)})


def checked(shares: Sequence[float]) -> list[float]:
    """The same numbers of features, one or more finite numbers > 0 in units of n. Raises `InputError`."""
    if not len(shares):
        raise InputError("shares: got none, expected numbers of features in units of n, such as 0.5, 1, 2")
    return [positive("shares", share) for share in shares]


def random_fourier(X: Float, gamma: float, p: int, seed: int) -> Float:
    """phi(X) (n, p); the first features do not depend on how many follow, but for their factor."""
    features = np.empty((len(X), p))
    for j in range(p):
        rng = np.random.default_rng([seed, j])
        frequency = rng.standard_normal(X.shape[1]) * np.sqrt(2 * gamma)
        features[:, j] = X @ frequency + rng.uniform(0, 2 * np.pi)
    np.cos(features, out=features)
    features *= np.sqrt(2.0 / p)
    return features


def random_features(rows: KernelRows, p: int, seed: int, **options: Any) -> FeatureCount:
    """Least squares of least norm on p random features of the rows' Gaussian kernel.

    `options` are those of `kernelfit.solve`: threads, precision, memory, device, ...

    Raises `InputError` for another kernel.
    """
    gamma = rows.kernel.parameters.get("gamma") if rows.kernel.name == "gaussian" else None
    if gamma is None:
        raise InputError(
            f"kernel: got {rows.kernel!r}, expected gaussian, whose random features these are; leave it out"
        )
    train, test = (
        random_fourier(np.asarray(rows.every.values[part], np.float64) * rows.every.scale, gamma, p, seed)
        for part in (slice(rows.n), slice(rows.n, None))
    )
    share, targets = p / rows.n, one_hot(rows.y_train, rows.n_classes)
    try:
        fitted = solve(train, targets, kernel="linear", scale=1.0, **options)
    except NotPositiveDefiniteError as error:
        return FeatureCount(p, share, seed, None, None, None, str(error))
    fitted.close()
    weights = train.T @ fitted.alpha if fitted.weights is None else fitted.weights
    return FeatureCount(
        p=p,
        share=share,
        seed=seed,
        train_error=error_rate(train @ weights, rows.y_train),
        test_error=error_rate(test @ weights, rows.y_test),
        rkhs_norm=float(np.linalg.norm(weights)),
    )
