"""The bridge to the solver: a network's kernel, solved exactly for true and for random labels.

The energy y^T K^-1 y is the squared norm of the interpolant in the kernel's space; generalisation bounds grow with
it. Labels are one-hot codes with their mean 1/c taken off, and the energy is summed over the c columns.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernelfit.datasets.corruptions import random_labels
from kernelfit.errors import InputError
from kernelfit.progress import ProgressLike
from kernelfit.solver.solve import solve


@dataclass(frozen=True)
class Energies:
    """y^T K^-1 y for true labels and for draws of random labels; `ratio` is mean random / true."""

    true: float
    random: tuple[float, ...]
    random_mean: float
    random_spread: float | None
    ratio: float
    ridge: float
    backward_error: float


def centred_codes(y: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """One-hot rows minus 1/c: (n, c)."""
    return np.eye(n_classes)[y] - 1 / n_classes


def energies(
    gram: NDArray[np.float64],
    y: NDArray[np.int64],
    n_classes: int,
    *,
    draws: int = 5,
    relative_ridge: float = 0.0,
    seed: int = 0,
    progress: ProgressLike = None,
) -> Energies:
    """Factor `gram` (n, n) once and solve it for true labels and `draws` random ones.

    `relative_ridge` times the mean diagonal is added to the diagonal: a conjugate kernel of fewer features than
    rows is singular and needs it; then the energy is y^T (K + ridge I)^-1 y. Any other that has no factor gets
    the least ridge that helps, as `solve(singular="ridge")` finds it. The draws belong to `seed`, and are others than
    the random labels that a run with this seed is trained on.
    """
    if draws < 1:
        raise InputError(f"draws: got {draws}, expected at least 1")
    ridge = relative_ridge * float(np.trace(gram)) / len(gram)
    streams = np.random.SeedSequence(seed).spawn(1)[0].generate_state(draws, np.uint64)
    labels = [y, *(random_labels(y, n_classes, int(stream)) for stream in streams)]
    targets = np.concatenate([centred_codes(one, n_classes) for one in labels], axis=1)
    # A tangent kernel of few parameters is singular too: the least ridge that helps is noted and recorded.
    solution = solve(gram, targets, kernel="precomputed", ridge=ridge, singular="ridge", progress=progress)
    # alpha = (K + ridge I)^-1 Y, so the energy of a column is <y, alpha>.
    per_column = np.einsum("ij,ij->j", targets, np.asarray(solution.alpha).reshape(targets.shape))
    true, *random = per_column.reshape(draws + 1, n_classes).sum(axis=1).tolist()
    mean = statistics.fmean(random)
    spread = statistics.stdev(random) if draws > 1 else None
    return Energies(
        true=true,
        random=tuple(random),
        random_mean=mean,
        random_spread=spread,
        ratio=mean / true,
        ridge=float(solution.ridge),
        backward_error=float(solution.certificate.backward_error),
    )
