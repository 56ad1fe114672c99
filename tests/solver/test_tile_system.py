"""A system of one tile solves as a system in panels does."""

from dataclasses import replace

import numpy as np
import pytest

import kernelfit
from kernelfit.cpu import matrix_product
from kernelfit.linalg import one_tile
from kernelfit.solver.cpu_system import CpuSystem
from kernelfit.solver.tile_system import TileSystem


@pytest.mark.skipif(not matrix_product.available(), reason="no compiled factor on this CPU")
@pytest.mark.parametrize("n", [1, 50, 256, 700])
@pytest.mark.parametrize("columns", [3, 130])
@pytest.mark.parametrize("weighted", [False, True])
def test_solutions_are_those_of_a_system_in_panels(rng, monkeypatch, n, weighted, columns):
    rows, targets = rng.standard_normal((n, 6)), rng.standard_normal((n, columns))
    weights = rng.uniform(1.0, 2.0, n) if weighted else None

    def solved():
        return kernelfit.solve(rows, targets, ridge=1e-3, gamma=0.2, sample_weight=weights)

    made = solved()
    assert type(made.factor) is TileSystem
    monkeypatch.setattr("kernelfit.solver.place.is_one_tile", lambda problem, plan: False)
    expected = solved()
    assert type(expected.factor) is CpuSystem
    assert (made.alpha == expected.alpha).all()
    assert made.plan == replace(expected.plan, memory_limit=made.plan.memory_limit)
    ours, theirs = made.certificate, expected.certificate
    for name in ("norm", "condition_estimate", "rkhs_norm", "log_det", "min_pivot"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12)
    assert ours.backward_error < 1e-15
    other = rng.standard_normal(n)
    assert (made.solve(other).alpha == expected.solve(other).alpha).all()
    np.testing.assert_allclose(made.leave_one_out(), expected.leave_one_out(), rtol=1e-9)
    made.close()
    assert made.factor is None


def test_what_is_refined_or_large_or_stored_is_no_tile(rng, tmp_path):
    rows, targets = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    large = rng.standard_normal((one_tile.MAX_ORDER + 1, 3))
    for options in (
        {"precision": "mixed"},
        {"jitter": 1e-9},
        {"run_dir": tmp_path / "run"},
        {"tier": "disk"},
    ):
        made = kernelfit.solve(rows, targets, ridge=1e-3, gamma=0.2, **options)
        assert type(made.factor) is CpuSystem
    made = kernelfit.solve(large, large, ridge=1e-3, gamma=0.2)
    assert type(made.factor) is CpuSystem


def test_threads_are_said_where_there_are_some(rng):
    """One tile is one thread's; narrower panels are dealt out, whatever n is."""
    rows, targets = rng.standard_normal((60, 3)), rng.standard_normal((60, 2))
    for options, planned, made in (
        ({"threads": 2}, 1, 2),
        ({"threads": 2, "panel_width": 16}, 2, 2),
        ({}, 1, None),
    ):
        solution = kernelfit.solve(rows, targets, ridge=1e-3, gamma=0.2, **options)
        assert (solution.plan.threads, solution.threads) == (planned, made)


def test_the_only_core_is_a_number_of_threads(rng, monkeypatch):
    """A plan of one thread for lack of others is none of one tile."""
    monkeypatch.setattr("kernelfit.cpu.pool.available_threads", lambda: 1)
    rows = rng.standard_normal((300, 3))
    assert kernelfit.solve(rows, rows[:, 0], ridge=1e-3, gamma=0.2).threads == 1
