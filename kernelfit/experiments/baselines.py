"""scikit-learn's models on the same rows: ridge regression, kernel ridge regression on a grid, SVR and SVC.

Ridge regression and kernel ridge regression are chosen, and reported, by leave-one-out in closed form, the latter's
grid on at most 1,000 rows; support vector machines are chosen by 3 folds on as many, and reported by 5 folds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.experiments.comparison import Compared, Entry
from kernelfit.linalg.spectrum import Spectrum
from kernelfit.typing import Array, Float

#: rows on which the settings of kernel ridge regression and of support vector machines are chosen
_ROWS = 1_000
_RIDGES = np.logspace(-6, 2, 9)
_ALPHAS = np.logspace(-3, 6, 19)
_C = (1.0, 10.0, 100.0)
# Of gamma, in units of what is usual: 1 / (d Var X), which is 1 / d for standardised columns.
_WIDTHS = (0.01, 0.1, 1.0, 10.0)

Gram = Callable[[Array, Array], Float]


def _measured(
    body: Callable[[Entry, Compared, int], Entry], entry: Entry, data: Compared, seed: int
) -> Entry:
    """What a baseline says, with its seconds; what goes wrong in it is no fault of the comparison."""
    _warm_up(body, data.classes is not None)
    started = time.perf_counter()
    try:
        # More threads than one wait for each other longer than they work on matrices of this size.
        with warnings.catch_warnings(), CpuBackend(1):
            warnings.simplefilter("ignore")
            # scikit-learn chooses in float64 whatever X is of; a spectrum of float32 has poles where it has none.
            X, X_test = (np.multiply(data.scale, part, dtype=np.float64) for part in (data.X, data.X_test))
            scaled = replace(data, X=X, X_test=X_test, scale=1.0)
            entry = body(entry, scaled, seed)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        entry = replace(entry, failed=" ".join(str(error).split()))
    return replace(entry, seconds=time.perf_counter() - started)


@cache
def _warm_up(body: Callable[[Entry, Compared, int], Entry], of_classes: bool) -> None:
    """Fit a baseline to a few rows once a process: imports and first calls are no part of its seconds."""
    rows = np.random.default_rng(0).standard_normal((12, 2))
    y = np.arange(12) % 2 if of_classes else rows[:, :1]
    few = Compared(rows, y, rows[:0], y[:0], classes=("0", "1") if of_classes else None)
    with suppress(ValueError, ArithmeticError), warnings.catch_warnings(), CpuBackend(1):
        warnings.simplefilter("ignore")
        body(Entry("", "scikit-learn", ""), few, 0)


def ridge(data: Compared, seed: int) -> Entry:
    """Ridge regression with an intercept; for classes of one-hot targets."""
    return _measured(_ridge, Entry("Ridge", "scikit-learn", "leave-one-out"), data, seed)


def _ridge(entry: Entry, data: Compared, seed: int) -> Entry:
    from sklearn.linear_model import RidgeCV

    model = RidgeCV(alphas=_ALPHAS).fit(data.X, data.targets)
    # It tells squared residuals alone, while classes want predictions: y - (y - f) / (1 - h), with the diagonal
    # h = 1/n + 1 - a diag((K + a I)^-1) of the hat matrix, K of the centred rows.
    centred = data.X - data.X.mean(axis=0)
    spectrum = Spectrum.of(centred @ centred.T)
    _, inverse = spectrum.solve(spectrum.vectors.T @ data.targets, [float(model.alpha_)])
    left = model.alpha_ * inverse - 1.0 / len(data.X)
    residuals = data.targets - model.predict(data.X).reshape(data.targets.shape)
    entry = entry.measured(data, data.targets - residuals / left)
    entry = replace(entry, ridge=float(model.alpha_), settings=f"{len(_ALPHAS)} alphas")
    return entry.tested(data, lambda rows: model.predict(rows).reshape(len(rows), -1))


def kernel_ridge(data: Compared, seed: int) -> Entry:
    """`KernelRidge` at the best of a grid of kernels, widths and ridges."""
    return _measured(_kernel_ridge, Entry("KernelRidge grid", "scikit-learn", "leave-one-out"), data, seed)


def _kernel_ridge(entry: Entry, data: Compared, seed: int) -> Entry:
    from sklearn.kernel_ridge import KernelRidge

    small = data.drawn(_ROWS, seed)
    trials: list[tuple[tuple[float, float], dict[str, Any], float, Gram]] = []
    for description, gram in _grid(_spread(data)):
        k = gram(small.X, small.X)
        for alpha, residuals in zip(
            _RIDGES, Spectrum.of(k).left_out(small.targets, _RIDGES.tolist()), strict=True
        ):
            if residuals is not None:
                ranked = entry.measured(small, small.targets - residuals).ranked
                trials.append((ranked, description, float(alpha), gram))
    _, description, alpha, gram = min(trials, key=lambda trial: trial[0])
    k = gram(data.X, data.X)
    model = KernelRidge(alpha=alpha, kernel="precomputed").fit(k, data.targets)
    inverse = np.diag(np.linalg.inv(k + alpha * np.eye(len(k))))
    dual = model.dual_coef_.reshape(data.targets.shape)
    entry = entry.measured(data, data.targets - dual / inverse[:, None])
    entry = replace(entry, kernel=description, ridge=alpha, settings=f"{len(trials)} settings")
    return entry.tested(data, lambda rows: model.predict(gram(rows, data.X)).reshape(len(rows), -1))


def _spread(data: Compared) -> float:
    """d Var X, as `gamma="scale"` of scikit-learn's support vector machines has it."""
    return data.X.shape[1] * (float(data.X.var()) or 1.0)


def _grid(spread: float) -> Iterator[tuple[dict[str, Any], Gram]]:
    """scikit-learn's kernels, their widths about what is usual."""
    from sklearn.gaussian_process.kernels import Matern, RationalQuadratic
    from sklearn.metrics.pairwise import pairwise_kernels

    def pairwise(metric: str, **parameters: Any) -> tuple[dict[str, Any], Gram]:
        return {"name": metric, **parameters}, lambda a, b: pairwise_kernels(
            a, b, metric=metric, **parameters
        )

    for width in _WIDTHS:
        gamma, length_scale = width / spread, float(np.sqrt(spread / width))
        yield pairwise("rbf", gamma=gamma)
        yield pairwise("laplacian", gamma=gamma)
        yield pairwise("polynomial", gamma=gamma, degree=2)
        yield pairwise("polynomial", gamma=gamma, degree=3)
        for nu in (0.5, 1.5, 2.5):
            yield {"name": "Matern", "nu": nu, "length_scale": length_scale}, Matern(length_scale, nu=nu)
        yield (
            {"name": "RationalQuadratic", "length_scale": length_scale},
            RationalQuadratic(length_scale),
        )
    yield pairwise("linear")
    yield pairwise("cosine")


def support_vectors(data: Compared, seed: int) -> Entry:
    """`SVC` for classes, else `SVR` of targets of variance 1, at the best of a small grid."""
    name = "SVC" if data.classes is not None else "SVR"
    return _measured(_support_vectors, Entry(name, "scikit-learn", "5-fold"), data, seed)


def _support_vectors(entry: Entry, data: Compared, seed: int) -> Entry:
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.svm import SVC, SVR

    small = data.drawn(_ROWS, seed)
    gammas = [width / _spread(data) for width in _WIDTHS[:3]]
    if data.classes is not None:
        few = int(np.unique(small.y, return_counts=True)[1].min())
        folds = StratifiedKFold(_count(3, few), shuffle=True, random_state=seed % 2**32)
        model: Any = GridSearchCV(SVC(), {"C": _C, "gamma": gammas}, cv=folds)
        best = model.fit(small.X, small.y).best_estimator_
        few = int(np.unique(data.y, return_counts=True)[1].min())
        folds = StratifiedKFold(_count(5, few), shuffle=True, random_state=seed % 2**32)
        decided = cross_val_predict(clone(best), data.X, data.y, cv=folds)
        entry = replace(entry, loo_error=float(np.mean(decided != data.y)))
        best.fit(data.X, data.y)
        if len(data.X_test):
            entry = replace(entry, test_error=float(np.mean(best.predict(data.X_test) != data.y_test)))
    else:
        spread = data.targets.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        grid = {"estimator__C": _C, "estimator__gamma": gammas}
        thirds = KFold(_count(3, len(small.y)), shuffle=True, random_state=seed % 2**32)
        search = GridSearchCV(MultiOutputRegressor(SVR()), grid, cv=thirds)
        best = search.fit(small.X, small.targets / spread).best_estimator_
        y = data.targets / spread
        fifths = KFold(_count(5, len(data.y)), shuffle=True, random_state=seed % 2**32)
        left_out = cross_val_predict(clone(best), data.X, y, cv=fifths)
        entry = entry.measured(data, left_out.reshape(y.shape) * spread)
        best.fit(data.X, y)
        entry = entry.tested(data, lambda rows: best.predict(rows).reshape(len(rows), -1) * spread)
    return replace(entry, settings=f"{len(_C) * len(gammas)} settings")


def _count(folds: int, rows: int) -> int:
    """So many folds, or as there are rows (of the rarest class)."""
    return max(2, min(folds, rows))


#: name -> the model
BASELINES: dict[str, Callable[[Compared, int], Entry]] = {
    "sklearn-ridge": ridge,
    "sklearn-kernel-ridge": kernel_ridge,
    "sklearn-svm": support_vectors,
}
