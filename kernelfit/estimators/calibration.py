"""Probabilities from scores: softmax(a s), a the inverse temperature that suits leave-one-out scores best.

Scores s (n, c) of rows that were left out are what new rows get. a minimises the cross-entropy

    -sum_i w_i sum_c t_ic log p_ic,    p_i = softmax(a s_i)

(temperature scaling: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017). Targets t
are 1 - 1 / (N + 2) for the row's own class, N the number of rows, the rest shared by the others: by Laplace's rule of
succession so likely is an error after N rows without one, and a stays finite where no row is misclassified. (Platt,
Probabilistic outputs for support vector machines, 1999, takes the rows of a class for N; of many classes each would be
doubted as much as a small sample.) Weighted rows count as N = (sum_i w_i)^2 / sum_i w_i^2, as many as equally weighted
ones with which a weighted mean has the same variance (Kish, Survey Sampling, 1965): n for equal weights, whatever their
unit, so that weights that add up to 1 are not taken for one row. One number leaves the order of classes as the scores
have it: the class that is predicted is the most probable one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from kernelfit.typing import Float

# log a is sought within these: below, all classes are equally likely; above, any difference of scores is certainty.
_RANGE = (-7.0, 12.0)


@dataclass
class Calibration:
    """a, a number or one for each label, once it is known: an estimator's own attributes stay as `fit` left them."""

    a: Any = None


def inverse_temperature(scores: Float, codes: NDArray[np.int64], weights: Float | None = None) -> float:
    """a for leave-one-out scores (n, c) of rows of the classes `codes` (n,), in units of 1 / the scores' spread."""
    n, c = scores.shape
    weights = np.ones(n) if weights is None else weights / weights.max()
    doubt = 1.0 / (weights.sum() ** 2 / (weights @ weights) + 2.0)
    targets = np.full((n, c), doubt / (c - 1))
    targets[np.arange(n), codes] = 1.0 - doubt
    spread = float(np.std(scores)) or 1.0

    def loss(log_a: float) -> float:
        return -float(
            np.sum(weights[:, None] * targets * log_softmax(np.exp(log_a) / spread * scores, axis=1))
        )

    # The loss is convex in a, and so has one minimum in log a.
    found = minimize_scalar(loss, bounds=_RANGE, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x) / spread)


def probabilities(scores: Float, a: float) -> Float:
    """softmax(a s) (m, c)."""
    return np.asarray(softmax(a * scores, axis=1))
