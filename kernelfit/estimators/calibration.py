"""Probabilities from scores: softmax(a s), a the inverse temperature that suits leave-one-out scores best.

Scores s (n, c) of rows that were left out are what new rows get. a minimises the cross-entropy

    -sum_i w_i sum_c t_ic log p_ic,    p_i = softmax(a s_i)

(temperature scaling: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017). Targets t
are those of Platt (Probabilistic outputs for support vector machines, 1999), (N_k + 1) / (N_k + 2) for the row's own
class k of N_k rows, the rest shared by the others, so that a stays finite where no row is misclassified. One number
leaves the order of classes as the scores have it: the class that is predicted is the most probable one. For two classes
it is Platt's sigmoid of s_1 - s_0 without an offset.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from kernelfit.typing import Float

# log a is sought within these: below, all classes are equally likely; above, any difference of scores is certainty.
_RANGE = (-7.0, 12.0)


def inverse_temperature(scores: Float, codes: NDArray[np.int64], weights: Float | None = None) -> float:
    """a for leave-one-out scores (n, c) of rows of the classes `codes` (n,), in units of 1 / the scores' spread."""
    n, c = scores.shape
    weights = np.ones(n) if weights is None else weights
    counts = np.bincount(codes, weights, c)[codes]
    targets = np.repeat(1.0 / (counts + 2.0) / (c - 1), c).reshape(n, c)
    targets[np.arange(n), codes] = (counts + 1.0) / (counts + 2.0)
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
