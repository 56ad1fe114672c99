"""Solves with a factor whose block rows are on the workers of a cluster.

    L x = b       x_j on the owner of row j, sent to all; each worker subtracts L[i, j] x_j from its rows i > j
    L^T y = x     each worker sums L[i, j]^T y_i over its rows i > j; y_j on the owner of row j from all the sums

Of right-hand sides (n, c) each worker receives n c numbers for each of the two, and sends as many for the second.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster import tasks
from kernelfit.cluster.crew import Crew
from kernelfit.progress import Advance
from kernelfit.typing import Float, Span

# Dask runs the larger first: what the others wait for.
_FIRST, _THEN = 2, 1
# Solves for columns of the identity that are under way at once: while one waits for a message another one works.
_AT_ONCE = 3
# Bytes of right-hand sides that may travel with a task, through the scheduler.
_WITH_ITS_TASK = 2**20


def solve_lower(crew: Crew, vectors: NDArray[Any]) -> NDArray[Any]:
    """L^-1 B (n, c)."""
    return _solved(crew, vectors, transposed=False)


def solve_factored(crew: Crew, vectors: NDArray[Any]) -> NDArray[Any]:
    """(L L^T)^-1 B (n, c)."""
    return _solved(crew, vectors, transposed=True)


def _solved(crew: Crew, vectors: NDArray[Any], transposed: bool) -> NDArray[Any]:
    deal, solve = crew.setup.deal, uuid.uuid4().hex[:8]
    begun = []
    for p in range(deal.shares):
        blocks: Any = {i: vectors[slice(*deal.span(i))] for i in deal.rows(p)}
        if vectors.nbytes > _WITH_ITS_TASK:
            blocks = crew.send_to(p, blocks)
        begun.append(crew.on_share(tasks.begin, p, solve, blocks, priority=_FIRST))
    solved, last = _forward(crew, solve, 0, begun)
    if transposed:
        solved, last = _backward(crew, solve, solved[-1])
    ended = [crew.on_share(tasks.end, p, solve, *last.get(p, [])) for p in range(deal.shares)]
    parts = [part[0] if transposed else part for part in crew.results(solved)]
    crew.results(ended)
    return np.concatenate(parts)


def _forward(crew: Crew, solve: str, first: int, begun: list[Any]) -> tuple[list[Any], dict[int, list[Any]]]:
    """Futures of x_j for the block rows from `first` on, and the last tasks of each share."""
    deal = crew.setup.deal
    solved: list[Any] = []
    steps = list(begun)
    before_last = list(begun)
    for j in range(first, deal.layout.count):
        owner = deal.owner(j)
        above = solved[-1] if solved else None
        solved.append(
            crew.on_share(tasks.solved, owner, solve, j, above, before_last[owner], priority=_FIRST)
        )
        before_last = list(steps)
        for p in range(deal.shares):
            if any(i > j + 1 for i in deal.rows(p)):
                steps[p] = crew.on_share(tasks.subtract, p, solve, j, solved[-1], steps[p], priority=_THEN)
    last = {p: [step] for p, step in enumerate(steps)}
    for j, future in enumerate(solved, first):
        last[deal.owner(j)].append(future)
    return solved, last


def _backward(crew: Crew, solve: str, after: Any) -> tuple[list[Any], dict[int, list[Any]]]:
    """Futures of pairs whose first is y_j, in the order of rows, and the last task of each share."""
    deal = crew.setup.deal
    count = deal.layout.count
    solved: dict[int, Any] = {}
    latest: dict[int, Any] = {}
    for j in reversed(range(count)):
        sums = []
        for p in range(deal.shares):
            if j + 1 < count and deal.owner(j + 1) == p:
                sums.append(solved[j + 1])  # with y_(j+1) came the sum that its owner has for j
            elif p in latest:
                sums.append(crew.on_share(tasks.transposed_sum, p, solve, j, latest[p], priority=_THEN))
        owner = deal.owner(j)
        arguments = (solve, j, sums, *([after] if j + 1 == count else []))
        solved[j] = latest[owner] = crew.on_share(tasks.solved_transposed, owner, *arguments, priority=_FIRST)
    return [solved[j] for j in range(count)], {p: [future] for p, future in latest.items()}


def inverse_diagonal(crew: Crew, columns: int, advance: Advance) -> Float:
    """diag((L L^T)^-1) (n,): sums of squares of columns of L^-1, of which `columns` at most are formed at a time."""
    deal = crew.setup.deal
    result = np.empty(deal.layout.n)
    pending: list[tuple[Span, list[Any]]] = []
    for j in range(deal.layout.count):
        for start in range(*deal.span(j), columns):
            span = start, min(start + columns, deal.layout.stop(j))
            if len(pending) >= _AT_ONCE:
                _take(crew, pending.pop(0), result, advance)
            solve = uuid.uuid4().hex[:8]
            begun = [crew.on_share(tasks.begin_identity, p, solve, span) for p in range(deal.shares)]
            _, last = _forward(crew, solve, j, begun)
            sums = [crew.on_share(tasks.squared_columns, p, solve, *last[p]) for p in range(deal.shares)]
            pending.append((span, sums))
    while pending:
        _take(crew, pending.pop(0), result, advance)
    return result


def _take(crew: Crew, pending: tuple[Span, list[Any]], result: Float, advance: Advance) -> None:
    (start, stop), sums = pending
    result[start:stop] = sum(crew.results(sums))
    advance(float(len(result) - start) ** 2 * (stop - start))
