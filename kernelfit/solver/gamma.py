"""Choosing gamma from training rows: the median rule, and closed-form leave-one-out on a subsample."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError, NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import KERNELS, Kernel, build, named, parameter_names
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.leave_one_out import inverse_diagonal, leave_one_out_predictions
from kernelfit.linalg.triangular import solve_factored
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.solver.inputs import find_duplicates
from kernelfit.solver.scaling import common_exponent, scaled
from kernelfit.storage.panels import RamPanels
from kernelfit.typing import Float

#: rows whose distances the median rule looks at
MEDIAN_ROWS = 1_000
#: rows of the subsample for leave-one-out: 0.3 s a candidate on two cores
SUBSAMPLE = 4_000
#: candidates gamma = 2^k / median, on the lattice that leave-one-out chooses from
_POWERS = tuple(range(-6, 7))


def gamma_kernels() -> tuple[str, ...]:
    """The names of the kernels that have a gamma."""
    return tuple(name for name in KERNELS if "gamma" in parameter_names(name))


def median_distance(points: Points, kernel: str = "gaussian") -> float:
    """The median of what the kernel's gamma multiplies (`Kernel.gamma_multiplies`), for the first 1,000 rows."""
    rows = points.scaled(0, min(MEDIAN_ROWS, points.shape[0]))
    multiplied = named(kernel).gamma_multiplies(rows)
    if multiplied.size == 0:
        raise InputError("gamma: 'median' needs at least 2 rows, got 1; give a number")
    median = float(np.median(multiplied))
    if not median > 0:
        raise InputError(
            f"gamma: the median distance of the first {len(rows)} rows is {median}; give gamma a number"
        )
    return median


def median_gamma(points: Points, kernel: str = "gaussian", factor: float = 1.0) -> float:
    """factor / median distance."""
    return factor / median_distance(points, kernel)


def leave_one_out_gamma(
    points: Points,
    targets: Float,
    kernel: str,
    parameters: dict[str, Any],
    backend: CpuBackend,
    *,
    ridge: float = 0.0,
    seed: int = 0,
    progress: ProgressLike = None,
) -> tuple[float, dict[float, float]]:
    """The gamma with the least mean squared leave-one-out residual, and that residual for every gamma tried.

    Closed form on at most 4,000 distinct training rows drawn by `seed`; gamma = 2^k / median, k = -6 ... 6. A gamma
    whose K is not positive definite in float64 is passed over. No test row is ever seen.
    """
    rng = np.random.default_rng(seed)
    n = points.shape[0]
    rows = np.sort(rng.choice(n, min(n, SUBSAMPLE), replace=False))
    sample = Points(points.values[rows], points.scale)
    kept = np.setdiff1d(np.arange(len(rows)), find_duplicates(sample).dropped)
    sample = Points(sample.values[kept], points.scale)
    y = targets[rows[kept]]
    power = common_exponent(y)
    y = scaled(y, -power)  # squares of what is far from 1 would be 0 or infinite
    if len(kept) < 2:
        raise InputError("gamma: 'auto' needs at least 2 distinct rows; give a number")
    median = median_distance(points, kernel)
    errors: dict[float, float] = {}
    with as_progress(progress).phase("choose gamma", len(_POWERS), "candidates") as advance:
        for exponent in _POWERS:
            gamma = 2.0**exponent / median
            error = _leave_one_out_error(
                build_with_gamma(kernel, gamma, parameters), sample, y, ridge, backend
            )
            if error is not None:
                errors[gamma] = error
            advance(1)
    if not errors:
        raise InputError(
            "gamma: 'auto' found no gamma whose K is positive definite; give a number and a ridge > 0"
        )
    chosen = min(errors, key=lambda gamma: errors[gamma])
    return chosen, {gamma: float(scaled(error, 2 * power)) for gamma, error in errors.items()}


def build_with_gamma(name: str, gamma: float, parameters: dict[str, Any]) -> Kernel:
    """The kernel of that name with that gamma and the other parameters."""
    if "gamma" not in parameter_names(name):
        raise InputError(f"gamma: the {name} kernel has none, expected one of {', '.join(gamma_kernels())}")
    if "gamma" in parameters:
        raise InputError("kernel_params: got gamma there, expected it as the argument gamma; move it")
    return build(name, gamma=gamma, **parameters)


def _leave_one_out_error(
    kernel: Kernel, points: Points, targets: Float, ridge: float, backend: CpuBackend
) -> float | None:
    store = RamPanels(PanelLayout.of_order(points.shape[0]), np.float64)
    try:
        factor(KernelGram(kernel, points), ridge, store, backend)
    except NotPositiveDefiniteError:
        return None
    alpha = targets.copy()
    solve_factored(store, alpha, backend)
    predictions = leave_one_out_predictions(targets, alpha, inverse_diagonal(store, backend))
    return float(np.mean((targets - predictions) ** 2))
