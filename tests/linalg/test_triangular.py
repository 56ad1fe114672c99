"""Solves with a factor in panels."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.triangular import solve_factored, solve_lower, solve_lower_transposed


def lower(rng, n, dtype):
    l = np.tril(rng.standard_normal((n, n)) / np.sqrt(n))  # noqa: E741
    np.fill_diagonal(l, 1.0 + rng.random(n))
    return l.astype(dtype)


def put(store, matrix):
    layout = store.layout
    for j in range(layout.count):
        panel = store.begin(j)
        panel[...] = matrix[layout.start(j) :, layout.start(j) : layout.stop(j)]
        store.settle(j, (layout.start(j), layout.n))
        store.finish(j)
    store.flush()


SOLVES = {
    solve_lower: lambda a, b: a @ b,
    solve_lower_transposed: lambda a, b: a.T @ b,
    solve_factored: lambda a, b: a @ (a.T @ b),
}


@pytest.mark.parametrize("tier", ["ram", "disk"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize(("n", "width"), [(1, 1), (2, 1), (19, 5), (111, 37), (300, 64), (1500, 200)])
@pytest.mark.parametrize("columns", [1, 7])
@pytest.mark.parametrize("solve", SOLVES, ids=lambda solve: solve.__name__)
def test_a_solve_has_a_small_backward_error(
    rng, backend, make_store, tolerance, solve, columns, n, width, dtype, tier
):
    matrix = lower(rng, n, dtype)
    store = make_store(tier, PanelLayout(n, width), dtype)
    put(store, matrix)
    rhs = rng.standard_normal((n, columns)).astype(dtype)
    solution = rhs.copy()
    solve(store, solution, backend)
    wide, x = matrix.astype(np.float64), solution.astype(np.float64)
    size = np.abs(wide).sum(1).max() ** 2 * np.abs(x).max() + np.abs(rhs).max()
    assert np.abs(SOLVES[solve](wide, x) - rhs).max() <= tolerance(dtype, n, 1.0) * size


@pytest.mark.parametrize("columns", [40, 300, 530])
@pytest.mark.parametrize("solve", SOLVES, ids=lambda solve: solve.__name__)
def test_many_right_hand_sides_are_solved_as_well_as_few(rng, make_store, tolerance, solve, columns):
    n = 900
    matrix, rhs = lower(rng, n, np.float64), rng.standard_normal((n, columns))
    store = make_store("ram", PanelLayout(n, 400), np.float64)
    put(store, matrix)
    solutions = []
    for threads in (1, 3):
        solutions.append(rhs.copy())
        with CpuBackend(threads) as backend:
            solve(store, solutions[-1], backend)
    assert (solutions[0] == solutions[1]).all()
    size = np.abs(matrix).sum(1).max() ** 2 * np.abs(solutions[0]).max() + np.abs(rhs).max()
    assert np.abs(SOLVES[solve](matrix, solutions[0]) - rhs).max() <= tolerance(np.float64, n, 1.0) * size


@pytest.mark.parametrize("solve", SOLVES, ids=lambda solve: solve.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
def test_neither_threads_nor_tier_change_a_bit(rng, make_store, solve, dtype):
    n = 2300
    matrix, rhs = lower(rng, n, dtype), rng.standard_normal((n, 3)).astype(dtype)
    found = set()
    for tier in ("ram", "disk"):
        store = make_store(tier, PanelLayout(n, 256), dtype)
        put(store, matrix)
        for threads in (1, 2, 3):
            solution = rhs.copy()
            with CpuBackend(threads) as backend:
                solve(store, solution, backend)
            found.add(solution.tobytes())
    assert len(found) == 1
