"""Test error, norm and time against the number of training rows, for several draws of the rows; and where they lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.metrics import error_rate, one_hot
from kernelfit.progress import Silent
from kernelfit.solver.predict import predict
from kernelfit.solver.solve import solve
from kernelfit.study.labelled import KernelRows

# The smallest number of rows of a curve, and how many points it has by itself.
_FEWEST, _POINTS = 50, 8


@dataclass(frozen=True)
class CurvePoint:
    """The interpolant of n training rows drawn at random; `seconds` for its solve, certificate included.

    `rkhs_norm` is NaN, or None once stored, where it is not resolved.
    """

    n: int
    seed: int
    train_error: float
    test_error: float
    rkhs_norm: float | None
    seconds: float


@dataclass(frozen=True)
class Extrapolation:
    """value(n) = limit + coefficient n^-power, fitted to the means; with standard errors of the fit.

    `covariance` is that of (limit, coefficient, power), from how far the means lie from the curve.
    """

    quantity: str
    limit: float
    coefficient: float
    power: float
    limit_error: float
    power_error: float
    covariance: tuple[tuple[float, ...], ...]

    def at(self, n: float) -> float:
        """The value at n rows, beyond what was measured where n is."""
        return float(self.limit + self.coefficient * n**-self.power)

    def error(self, n: float) -> float:
        """The standard error of `at`, to first order in those of the fit."""
        power = n**-self.power
        slope = np.array([1.0, power, -self.coefficient * power * np.log(n)])
        return float(np.sqrt(max(0.0, slope @ np.array(self.covariance) @ slope)))


def sizes_up_to(n: int) -> list[int]:
    """Numbers of rows up to n, each some factor more than the one before."""
    return sorted({int(size) for size in np.rint(np.geomspace(min(_FEWEST, n), n, _POINTS))})


def curve_point(rows: KernelRows, n: int, seed: int, **options: Any) -> CurvePoint:
    """The interpolant of n rows drawn at random: for one seed the larger sets hold the smaller ones.

    `options` are those of `kernelfit.solve`: threads, precision, memory, device, ...
    """
    order = np.random.default_rng([seed, 80]).permutation(rows.n)
    chosen = np.sort(order[:n])
    points, codes = rows.rows(chosen), rows.y_train[chosen]
    solved = solve(
        points.values, one_hot(codes, rows.n_classes), kernel=rows.kernel, scale=points.scale, **options
    )
    solved.close()
    with CpuBackend(options.get("threads")) as backend:
        scores = predict(rows.kernel, points, rows.rows(slice(rows.n, None)), solved.alpha, backend, Silent())
    return CurvePoint(
        n=n,
        seed=seed,
        train_error=error_rate(solved.fitted, codes),
        test_error=error_rate(scores, rows.y_test),
        rkhs_norm=solved.rkhs_norm,
        seconds=sum(solved.seconds.values()),
    )


def extrapolate(points: Sequence[CurvePoint], quantity: str) -> Extrapolation | None:
    """The curve through the means of `test_error` or `rkhs_norm`; None for fewer than four sizes, no fit, or an error
    that grows with n, which no power of n continues. Norms that are not resolved keep out."""
    known = [
        (point.n, float(value))
        for point in points
        if (value := getattr(point, quantity)) is not None and np.isfinite(value)
    ]
    sizes = sorted({n for n, _ in known})
    if len(sizes) < 4:
        return None
    means = [np.mean([value for n, value in known if n == size]) for size in sizes]
    grows = means[-1] > means[0]
    if grows and quantity == "test_error":
        return None

    from scipy.optimize import curve_fit  # a fifth of a second to import, which no other question needs

    def model(n: Any, limit: float, coefficient: float, power: float) -> Any:
        return limit + coefficient * n**-power

    # A norm grows as a power of n; an error falls to a limit that is no less than 0.
    bounds = ([0, 0, -2], [np.inf, np.inf, 0]) if grows else ([0, 0, 0], [np.inf, np.inf, 3])
    first = (0.0, means[-1], -0.5) if grows else (0.5 * means[-1], means[0] * sizes[0] ** 0.5, 0.5)
    try:
        fitted, covariance = curve_fit(
            model, np.array(sizes, float), np.array(means), p0=first, bounds=bounds, max_nfev=20_000
        )
    except (RuntimeError, ValueError):
        return None
    errors = np.sqrt(np.diag(covariance))
    limit, coefficient, power = (float(value) for value in fitted)
    spread = tuple(tuple(float(value) for value in line) for line in covariance)
    return Extrapolation(quantity, limit, coefficient, power, float(errors[0]), float(errors[2]), spread)
