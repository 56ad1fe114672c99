"""`kernelfit.study.complexity`: quantities of learning theory against their definitions."""

import math
from dataclasses import replace

import numpy as np
import pytest

import kernelfit
from kernelfit.metrics import one_hot
from kernelfit.study.complexity import Spectral, complexity, margin_bound, memorisation


@pytest.fixture(scope="module")
def spectral(digits):
    return Spectral(digits[1], threads=1)


@pytest.fixture(scope="module")
def told(spectral):
    return complexity(spectral, ridges=(1e-2, 1.0))


def test_norms_and_leave_one_out_are_the_solutions(told, digits, spectral):
    solution, rows = digits
    true = told.labellings[0]
    assert true.rkhs_norm == pytest.approx(solution.rkhs_norm, rel=1e-10)
    left_out = solution.leave_one_out()
    assert true.loo_error == np.mean(left_out.argmax(axis=1) != rows.y_train)
    assert np.allclose(spectral.left_out(one_hot(rows.y_train, 10)), left_out, atol=1e-8)


def test_the_closed_bound_holds_and_random_labels_need_larger_balls(told):
    true, random = told.labellings
    for each in (true, random):
        # E sqrt(s^T K s) <= sqrt(tr K); 200 draws scatter.
        assert each.rademacher <= each.rademacher_closed + 5 * each.rademacher_error
        assert 0 < each.rademacher_error < 0.1 * each.rademacher
    assert random.rademacher > true.rademacher
    assert random.test_error > 0.5 > true.test_error
    assert random.alignment < true.alignment <= 1


def test_labels_that_are_all_the_same_have_no_alignment(digits):
    rows = replace(digits[1], y_train=np.zeros_like(digits[1].y_train))
    assert math.isnan(complexity(Spectral(rows, threads=1), ridges=(1.0,)).labellings[0].alignment)


def test_the_margin_bound_is_its_formula():
    root, n = 0.05, 400
    expected = 2 * 16 * root + 3 * math.sqrt(math.log(2 * 4 * 5 / 0.05) / 800)
    assert margin_bound(9.0, root, n) == pytest.approx(expected, rel=1e-14)
    assert margin_bound(16.0, root, n) < margin_bound(16.01, root, n)


def test_effective_dimension_and_stability_know_no_labels(told, spectral):
    for row in told.ridges:
        ridge = row["ridge"] * spectral.mean_diagonal
        trace = np.trace(np.linalg.solve(spectral.gram + ridge * np.eye(len(spectral.gram)), spectral.gram))
        assert row["effective_dimension"] == pytest.approx(trace, rel=1e-9)
        assert row["stability_constant"] == pytest.approx(1 / ridge, rel=1e-12)


def test_leaving_out_a_row_does_to_others_what_a_solve_without_it_does(digits, spectral):
    solution, rows = digits
    memory = memorisation(spectral, count=200)
    left_out = solution.leave_one_out()
    wrong = np.flatnonzero(left_out.argmax(axis=1) != rows.y_train)
    assert sorted(memory.memorised) == list(wrong)
    assert list(memory.drop) == sorted(memory.drop, reverse=True)
    assert memory.hanging_rows == len({row for _, row in memory.hanging})
    train, test = rows.every.values[: rows.n], rows.every.values[rows.n :]
    for i, row in memory.hanging[:3]:
        rest = np.delete(np.arange(rows.n), i)
        without = kernelfit.solve(
            train[rest], one_hot(rows.y_train[rest], 10), gamma=0.1, scale=rows.every.scale, threads=1
        )
        assert without.predict(test[row : row + 1]).argmax() != rows.y_test[row]
        assert solution.predict(test[row : row + 1]).argmax() == rows.y_test[row]
        without.close()
    assert memory.hanging
