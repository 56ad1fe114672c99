"""Whether many right-hand sides are solved, told by a few random combinations of each group of them.

K alpha for m columns takes as many flops as alpha itself, 2 n^2 m. For R = Y - A alpha and a vector w of independent
standard normal numbers each entry of R w is normal with mean 0 and the sum of squares of its row of R as variance, and
A (alpha w) is one column: 2 n^2 flops whatever the number of columns. A row of residuals shows itself short
of a factor t with a probability of about 0.8 t for one w, 0.5 t^2 for two. The check of a product by random vectors is
R. Freivalds' (Probabilistic machines can use less running time, IFIP Congress 1977).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kernelfit.progress import Progress
from kernelfit.solver.system import System
from kernelfit.typing import Float

#: random combinations of each group
PROBES = 2

#: alpha (n, c) and targets (n, c) of the group of that index
Group = Callable[[int], tuple[Float, Float]]


class Probed(NamedTuple):
    """Of a group: max_c |y - A alpha|_inf / (|A|_inf |alpha|_inf + |y|_inf), and its largest residual.

    As the combinations show them: nearly always too large, since rows add up over the columns.
    """

    backward_error: float
    residual: float


def probe(system: System, group: Group, count: int, norm: float, progress: Progress) -> list[Probed]:
    """Of the groups 0 to count - 1, by one product of K, formed afresh, with `PROBES` columns for each.

    `norm` is |A|_1. Without sample weights; targets and alpha within float64 by a wide margin.
    """
    ridge = system.problem.ridges
    combined, wanted, largest = [], [], []
    for index in range(count):
        alpha, targets = group(index)
        sizes = norm * np.abs(alpha).max(axis=0) + np.abs(targets).max(axis=0)
        # Columns by their sizes, so that one of large numbers does not hide the others; a column of zeros has no error.
        weights = _normal(alpha.shape[1]) / np.where(sizes > 0, sizes, np.inf)[:, None]
        combined.append(alpha @ weights)
        wanted.append(targets @ weights - ridge * combined[-1])
        largest.append(float(sizes.max()))
    with system.backend:
        product = system.product(np.hstack(combined), progress, "certify").values
    residuals = (np.hstack(wanted) - product).reshape(len(product), count, PROBES)
    errors = np.sqrt(np.square(residuals).mean(axis=2).max(axis=0))
    return [Probed(float(error), float(error) * size) for error, size in zip(errors, largest, strict=True)]


def _normal(columns: int) -> Float:
    """The same weights for every group of so many columns, (c, PROBES)."""
    return np.random.default_rng(columns).standard_normal((columns, PROBES))
