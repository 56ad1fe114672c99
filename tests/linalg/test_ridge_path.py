"""Many ridges from one Gram: both methods against leaving rows out one by one, and the plan that picks one."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import PlanError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, KernelGram, PanelGram
from kernelfit.kernels import Gaussian
from kernelfit.linalg.ridge_path import (
    ALL_ROWS,
    EIGENVALUES,
    REFACTORING,
    leave_one_out_path,
    plan_path,
)
from kernelfit.progress import Silent

RIDGES = (0.0, 1e-3, 0.2, 7.0)


def left_out(k, y, ridge):
    predictions = np.empty_like(y)
    for row in range(len(k)):
        others = np.delete(np.arange(len(k)), row)
        a = k[np.ix_(others, others)] + ridge * np.eye(len(others))
        predictions[row] = k[row, others] @ np.linalg.solve(a, y[others])
    return predictions


@pytest.mark.parametrize("method", [REFACTORING, EIGENVALUES])
@pytest.mark.parametrize("kind", ["array", "panels", "kernel"])
@pytest.mark.parametrize("n", [1, 2, 61])
def test_equals_leaving_rows_out(rng, backend, method, kind, n):
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((n, 2))
    k = np.exp(-2.0 * ((x[:, None] - x) ** 2).sum(-1))
    layout = PanelLayout(n, min(n, 7))
    source = {
        "array": lambda: ArrayGram(k),
        "panels": lambda: PanelGram(
            layout, [k[layout.start(j) :, layout.start(j) : layout.stop(j)] for j in range(layout.count)]
        ),
        "kernel": lambda: KernelGram(Gaussian(gamma=2.0), Points(x)),
    }[kind]()
    paths = list(leave_one_out_path(source, y, RIDGES, method, backend))
    for ridge, predictions in zip(RIDGES, paths, strict=True):
        np.testing.assert_allclose(predictions, left_out(k, y, ridge), rtol=1e-7, atol=1e-9)


def test_both_methods_agree_on_ragged_panels(rng, backend):
    x, y = rng.standard_normal((700, 20)), rng.standard_normal((700, 3))
    source = ArrayGram(x @ x.T + 0.1 * np.eye(700))
    both = [
        list(leave_one_out_path(source, y, RIDGES, method, backend)) for method in (REFACTORING, EIGENVALUES)
    ]
    for one, other in zip(*both, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("method", [REFACTORING, EIGENVALUES])
def test_a_singular_gram_has_no_answer_until_the_ridge_lifts_it(rng, backend, method):
    x, y = rng.standard_normal((200, 5)), rng.standard_normal((200, 1))
    k = x @ x.T
    paths = list(leave_one_out_path(ArrayGram(k), y, (0.0, 1e-13, 0.5), method, backend))
    assert [predictions is None for predictions in paths] == [True, True, False]
    np.testing.assert_allclose(paths[2], left_out(k, y, 0.5), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("method", [REFACTORING, EIGENVALUES])
def test_the_given_gram_and_targets_stay_as_they_are(rng, backend, method):
    k, y = np.eye(30) + 0.01, rng.standard_normal((30, 2))
    copies = k.copy(), y.copy()
    list(leave_one_out_path(ArrayGram(k), y, RIDGES, method, backend, Silent()))
    np.testing.assert_array_equal(k, copies[0])
    np.testing.assert_array_equal(y, copies[1])


# The plan


def test_few_ridges_are_refactored_and_many_share_an_eigen_decomposition():
    assert plan_path(5_000, 14, 10, 2, 10**11).method == REFACTORING
    assert plan_path(5_000, 60, 10, 2, 10**11).method == EIGENVALUES
    # LAPACK has one thread, refactoring all of them.
    assert plan_path(5_000, 60, 10, 16, 10**11).method == REFACTORING


def test_all_rows_up_to_six_thousand_and_beyond_no_more_than_one_factorisation():
    assert plan_path(ALL_ROWS, 14, 10, 2, 10**11).rows == ALL_ROWS
    assert plan_path(8_000, 14, 10, 2, 10**11).rows == ALL_ROWS
    large = plan_path(60_000, 14, 10, 2, 10**11)
    assert 0.99 * 60_000**3 / 3 <= large.flops <= 60_000**3 / 3
    assert large.of == 60_000


def test_less_memory_takes_fewer_rows():
    tight = plan_path(6_000, 14, 10, 2, 10**8)
    assert tight.rows < 6_000
    assert tight.bytes <= 10**8
    with pytest.raises(PlanError, match=r"memory: .* give the ridge as a number"):
        plan_path(6_000, 14, 10, 2, 10)


def test_what_others_hold_may_leave_no_room():
    with pytest.raises(PlanError, match=r"memory: .* got 0 beside what is held; give the ridge"):
        plan_path(6_000, 14, 10, 2, -(10**8))


@pytest.mark.parametrize("method", [REFACTORING, EIGENVALUES])
def test_a_ridge_beside_which_a_factor_in_float32_has_no_digit_is_none(rng, backend, method):
    x, y = rng.standard_normal((200, 5)), rng.standard_normal((200, 1))
    k = x @ x.T
    ridges = tuple(10 * 200 * 2.0**-24 * k.diagonal().max() * factor for factor in (0.1, 0.9, 1.1))
    single = list(leave_one_out_path(ArrayGram(k), y, ridges, method, backend, roundoff=2.0**-24))
    assert [predictions is None for predictions in single] == [True, True, False]
    double = list(leave_one_out_path(ArrayGram(k), y, ridges, method, backend))
    np.testing.assert_array_equal(single[2], double[2])
    assert all(predictions is not None for predictions in double)


@pytest.mark.parametrize("ridges", [2, 60])
def test_a_path_takes_no_more_memory_than_was_planned(rng, ridges):
    n = 1_400
    plan = plan_path(n, ridges, 2, 1, 10**9)
    assert plan.method == (REFACTORING if ridges == 2 else EIGENVALUES)

    def run(rows):
        source = KernelGram(Gaussian(0.5), Points(rng.standard_normal((rows, 3))))
        targets = rng.standard_normal((rows, 2))
        with CpuBackend(1) as backend:
            path = leave_one_out_path(source, targets, [0.1] * ridges, plan.method, backend)
            assert sum(1 for _ in path) == ridges

    run(n)  # what is imported and compiled does not count, nor what a thread keeps for products
    tracemalloc.start()
    try:
        run(n)
        # Threads keep blocks of a tile each, which are small beside a large K.
        assert tracemalloc.get_traced_memory()[1] <= 1.25 * plan.bytes
    finally:
        tracemalloc.stop()


@given(
    n=st.integers(1, 10**6),
    ridges=st.integers(1, 200),
    rhs=st.integers(1, 1000),
    threads=st.integers(1, 256),
    memory=st.integers(10**6, 10**12),
)
@example(n=25_204, ridges=38, rhs=1, threads=1, memory=469_200_000)  # no room for eigenvalues of as many rows
def test_a_plan_keeps_its_promises(n, ridges, rhs, threads, memory):
    plan = plan_path(n, ridges, rhs, threads, memory)
    assert min(n, 2) <= plan.rows <= n
    assert plan.bytes <= memory
    assert plan.rows <= ALL_ROWS or plan.method == EIGENVALUES or plan.flops <= n**3 / 3 * (1 + 1e-9)
