"""`precision="auto"`: a float32 factor, refined, where that is faster and a cheap estimate promises that it succeeds.

Two estimates of the condition number of A = K + ridge W^-1, of which the smaller counts:

- (n max K_ii + ridge) / ridge, which is none where there is no ridge, and a bound where there is one;
- that of A on 1,000 of the rows, continued to n by the power law through it and that of half of these rows. It grows at
  least as n does.

Refinement by conjugate gradients needs a few steps while condition times roundoff is small, and more and more of them
beyond. What the estimate promises wrongly costs a float32 factor: the solve then falls back to float64, with a note.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.precision import AUTO
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.condition import inverse_norm
from kernelfit.linalg.product import symmetric_product
from kernelfit.progress import Notes
from kernelfit.solver.entries import within_range
from kernelfit.solver.problem import Problem, is_primal
from kernelfit.storage.panels import RamPanels

#: order from which a refined float32 factor is faster (measured on two cores, 1 and 10 targets)
MIN_ORDER = 6_000
#: condition number up to which it is taken: refinement then took 4 to 6 products, and up to 20 beyond 1e8
LARGEST = 1e7
# Rows of the sample.
_SAMPLE = 1_000


def with_precision(problem: Problem, asked: str, backend: CpuBackend, notes: Notes) -> Problem:
    """The problem as it is, or in the precision that `auto` stands for, with a note that says why."""
    if asked != AUTO:
        return problem
    reason = _reason(problem)
    if reason:
        notes.add(f"precision auto: float64, as {reason}")
        return problem
    condition = min(_bound(problem), _continued(problem, backend))
    taken = condition <= LARGEST
    why = (
        f"the condition number is estimated at {condition:.1e}, {'' if taken else 'not '}below {LARGEST:.0e}"
    )
    notes.add(f"precision auto: {'mixed' if taken else 'float64'}, as {why}")
    return within_range(replace(problem, precision="mixed"), notes) if taken else problem


def _reason(problem: Problem) -> str:
    """Why no estimate is made."""
    if is_primal(problem):
        return "the weights of a linear function are solved for"
    if problem.n < MIN_ORDER:
        return f"{problem.n:,} rows take no longer so"
    if problem.method.solver != "cholesky":
        return f"solver {problem.method.solver} takes no other"
    if problem.jitter > 0:
        return "the jitter is refined away"
    return "K is stored in panels" if problem.source.layout is not None else ""


def _bound(problem: Problem) -> float:
    """A bound of the condition number, infinite without a ridge."""
    ridge = problem.min_ridge
    if not ridge > 0:
        return math.inf
    return float((problem.n * problem.source.diagonal().max() + np.max(problem.ridges)) / ridge)


def _continued(problem: Problem, backend: CpuBackend) -> float:
    """The condition number of A as those of samples of its rows continue; infinite where one has no factor."""
    counts = _SAMPLE // 2, _SAMPLE
    try:
        half, whole = (_of_sample(problem, count, backend) for count in counts)
    except NotPositiveDefiniteError:
        return math.inf
    power = max(1.0, math.log2(whole / half))
    return float(whole * (problem.n / _SAMPLE) ** power)


def _of_sample(problem: Problem, count: int, backend: CpuBackend) -> float:
    """|A|_1 |A^-1|_1 of so many rows that are spread over all."""
    rows = np.linspace(0, problem.n - 1, count).astype(np.int64)
    part, shift = problem.source.subset(rows, backend), problem.shift
    shift = shift if isinstance(shift, float) else np.asarray(shift)[rows]
    layout = PanelLayout.of_order(count)
    store = RamPanels(layout, np.float64)
    pivots = factor(part, shift, store, backend)
    norm = symmetric_product(part, layout, np.ones((count, 1)), backend, with_norm=True).norm
    return (norm + float(np.max(shift))) * inverse_norm(store, backend, pivots.row)
