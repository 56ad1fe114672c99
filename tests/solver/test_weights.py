"""Sample weights: those of scikit-learn's KernelRidge, on every tier, in leave-one-out, rules and files."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import Gaussian
from kernelfit.linalg.ridge_path import EIGENVALUES, REFACTORING, leave_one_out_path
from kernelfit.solver.weights import WeightedGram

GAMMA, RIDGE = 0.3, 0.5


@pytest.fixture(scope="module")
def problem():
    """Rows, two targets, and weights 0 ... 3."""
    rng = np.random.default_rng(5)
    return rng.standard_normal((70, 3)), rng.standard_normal((70, 2)), rng.integers(0, 4, 70).astype(float)


def reference(x, y, w):
    return KernelRidge(kernel="rbf", gamma=GAMMA, alpha=RIDGE).fit(x, y, sample_weight=w)


def test_the_four_rows():
    x, y = np.arange(4.0)[:, None], np.array([0.0, 1.0, 0.0, 1.0])
    solution = kernelfit.solve(x, y, gamma=1.0, ridge=1.0, sample_weight=[1, 2, 3, 4])
    assert_allclose(solution.predict(x), [0.14425886, 0.5961433, 0.15902662, 0.76785362], atol=5e-9)


@pytest.mark.parametrize("options", [{}, {"precision": "mixed"}, {"tier": "disk", "panel_width": 16}])
def test_weights_are_those_of_kernel_ridge(problem, options, tmp_path):
    x, y, w = problem
    solution = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, sample_weight=w, **options)
    assert_allclose(solution.predict(x), reference(x, y, w).predict(x), rtol=1e-9, atol=1e-11)
    assert_array_equal(solution.kept, np.flatnonzero(w))
    assert any("rows of weight 0 were left out" in note for note in solution.notes)
    # The certificate is that of K + ridge W^-1, formed densely.
    k = rbf_kernel(x, gamma=GAMMA)[np.ix_(solution.kept, solution.kept)]
    a = k + np.diag(RIDGE / w[w > 0])
    certificate = solution.certificate
    assert certificate.backward_error < 1e-15
    assert_allclose(certificate.norm, np.abs(a).sum(axis=0).max(), rtol=1e-12)
    if not options.get("precision"):
        assert_allclose(certificate.log_det, np.linalg.slogdet(a)[1], rtol=1e-11)
        assert_allclose(certificate.condition_estimate, np.linalg.cond(a, 1), rtol=1e-9)
    alpha = np.linalg.solve(a, y[w > 0])
    assert_allclose(solution.rkhs_norm_per_column, np.sqrt(np.sum(alpha * (k @ alpha), axis=0)), rtol=1e-10)


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_weights_of_sixteen_decades(problem, precision):
    """A backward error beside the largest ridge let mixed precision stop at 5e-9 of the fitted values."""
    x, y, _ = problem
    w = 10.0 ** np.random.default_rng(1).uniform(-8, 8, len(x))
    solution = kernelfit.solve(x, y, gamma=GAMMA, ridge=1.0, sample_weight=w, precision=precision)
    root = np.sqrt(w)[:, None]
    k = rbf_kernel(x, gamma=GAMMA)
    beta = np.linalg.solve(root * k * root.T + np.eye(len(x)), root * y)  # of unit diagonal at least
    assert_allclose(solution.fitted, k @ (root * beta), rtol=0, atol=1e-9)
    assert 1e-20 < solution.certificate.backward_error < 1e-15


def test_weights_on_a_device(problem, make_device):
    x, y, w = problem
    device = make_device(2**22)
    mine = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, sample_weight=w, device="cpu")
    theirs = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, sample_weight=w, device=device, panel_width=16)
    assert_allclose(theirs.alpha, mine.alpha, rtol=1e-10, atol=1e-12)
    assert_allclose(theirs.leave_one_out(), mine.leave_one_out(), rtol=1e-9, atol=1e-11)
    theirs.close()


def test_leave_one_out_has_a_row_for_every_row(problem):
    x, y, w = problem
    left_out = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, sample_weight=w).leave_one_out()
    assert left_out.shape == y.shape
    for i in range(0, len(x), 6):
        others = np.arange(len(x)) != i
        expected = reference(x[others], y[others], w[others]).predict(x[i : i + 1])[0]
        assert_allclose(left_out[i], expected, rtol=1e-9, atol=1e-11)


def test_a_row_of_great_weight_left_out_is_predicted_by_the_others():
    """0 came where the others have a fit of their own."""
    x, y = np.arange(1.0, 5.0)[:, None], np.array([1.0, 2.1, 2.9, 0.0])
    solution = kernelfit.solve(x, y, kernel="linear", sample_weight=[1e10, 1, 1, 1])
    assert_allclose(solution.leave_one_out()[0], (2 * 2.1 + 3 * 2.9) / 29, rtol=1e-9)


def test_a_copy_that_stays_is_met_by_leave_one_out(problem):
    x, y, _ = problem
    twice = np.vstack([x, x[:3]]), np.vstack([y, y[:3]])
    solution = kernelfit.solve(*twice, gamma=5.0)
    left_out, plain = solution.leave_one_out(), kernelfit.solve(x, y, gamma=5.0).leave_one_out()
    assert left_out.shape == (73, 2)
    assert_array_equal(left_out[[0, 1, 2, 70, 71, 72]], np.vstack([y[:3], y[:3]]))
    assert_array_equal(left_out[3:70], plain[3:])
    assert_array_equal(solution.leave_one_out(distinct=True), plain)


def test_without_a_ridge_weights_change_nothing_but_zeros(problem):
    x, y, w = problem
    plain = kernelfit.solve(x[w > 0], y[w > 0], gamma=5.0)
    weighted = kernelfit.solve(x, y, gamma=5.0, sample_weight=w)
    assert_array_equal(weighted.alpha, plain.alpha)
    assert any("every target is met, whatever its weight" in note for note in weighted.notes)


def test_a_gram_matrix_with_weights(problem):
    x, y, w = problem
    gram = rbf_kernel(x, gamma=GAMMA)
    rows = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, sample_weight=w)
    given = kernelfit.solve(gram, y, kernel="precomputed", ridge=RIDGE, sample_weight=w)
    assert_allclose(given.predict(gram), rows.predict(x), rtol=1e-9, atol=1e-11)
    left_out = given.leave_one_out()
    assert_allclose(left_out[w > 0], rows.leave_one_out()[w > 0], rtol=1e-9, atol=1e-11)
    assert np.isnan(left_out[w == 0]).all()
    assert any("is a copy of 22,472 bytes" in note for note in given.notes)
    with pytest.raises(InputError, match=r"sample_weight: the matrix without rows of weight 0 takes"):
        kernelfit.solve(gram, y, kernel="precomputed", ridge=RIDGE, sample_weight=w, memory=10_000)


@pytest.mark.parametrize("method", [REFACTORING, EIGENVALUES])
def test_rules_count_rows_by_their_weights(problem, method):
    x, y, w = problem
    x, y, w = x[w > 0], y[w > 0], w[w > 0]
    with CpuBackend(1) as backend:
        gram = WeightedGram(KernelGram(Gaussian(GAMMA), Points(x)), w)
        (scaled,) = leave_one_out_path(gram, np.sqrt(w)[:, None] * y, [RIDGE], method, backend)
        left_out = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, sample_weight=w).leave_one_out()
        assert_allclose(scaled / np.sqrt(w)[:, None], left_out, rtol=1e-8, atol=1e-10)
    repeated = np.repeat(np.arange(len(x)), w.astype(int))
    choice = kernelfit.solve(x, y, gamma=GAMMA, ridge="auto", sample_weight=w).ridge_choice
    trial = next(trial for trial in choice.trials if trial.relative == 0.1)
    again = kernelfit.solve(x, y, gamma=GAMMA, ridge=trial.ridge, sample_weight=w).leave_one_out()
    assert_allclose(trial.loo_rmse, np.sqrt(np.mean((y - again)[repeated] ** 2)), rtol=1e-8)


def test_a_joint_search_counts_rows_by_their_weights(problem):
    x, y, w = problem
    x, y, w = x[w > 0], y[w > 0], w[w > 0]
    searched = kernelfit.solve(x, y, gamma="auto", ridge="auto", sample_weight=w)
    trial = next(trial for trial in searched.ridge_choice.trials if trial.relative == 0.1)
    assert searched.gamma_choice is not None
    gamma = searched.gamma_choice.value
    again = kernelfit.solve(x, y, gamma=gamma, ridge=trial.ridge, sample_weight=w).leave_one_out()
    repeated = np.repeat(np.arange(len(x)), w.astype(int))
    assert_allclose(trial.loo_rmse, np.sqrt(np.mean((y - again)[repeated] ** 2)), rtol=1e-6)


def test_a_row_that_occurs_twice_counts_twice_beside_a_ridge_that_was_chosen(problem):
    x, y, _ = problem
    x, y = np.vstack([x, x[:30]]), np.vstack([y, y[:30]])
    chosen = kernelfit.solve(x, y, gamma=GAMMA, ridge="auto")
    assert chosen.ridge > 0
    assert_array_equal(chosen.alpha, kernelfit.solve(x, y, gamma=GAMMA, ridge=chosen.ridge).alpha)


def test_weighted_least_squares_of_the_linear_kernel(problem):
    x, y, w = problem
    solution = kernelfit.solve(x, y, kernel="linear", sample_weight=w)
    root = np.sqrt(w)[:, None]
    expected = np.linalg.lstsq(root * x, root * y, rcond=None)[0]
    assert_allclose(solution.weights, expected, rtol=1e-10)
    assert_allclose(solution.fitted, (x @ expected)[w > 0], rtol=1e-9, atol=1e-12)
    ridge = kernelfit.solve(x, y, kernel="linear", ridge=1e-9, sample_weight=w)
    assert_allclose(ridge.rkhs_norm_per_column, np.linalg.norm(expected, axis=0), rtol=1e-6)


def test_weights_in_files_runs_and_copies(problem, tmp_path):
    x, y, w = problem
    options = {"gamma": GAMMA, "ridge": RIDGE, "sample_weight": w}
    solution = kernelfit.solve(x, y, **options, run_dir=tmp_path / "run")
    expected = solution.predict(x), solution.leave_one_out()
    solution.save(tmp_path / "solution.h5")
    solution.close()
    loaded = kernelfit.load(tmp_path / "solution.h5")
    assert_array_equal(loaded.problem.weights, w[w > 0])
    for other in (loaded, pickle.loads(pickle.dumps(solution)), copy.deepcopy(solution)):
        assert_array_equal(other.predict(x), expected[0])
        with pytest.raises(InputError, match=r"without its factor, which was given back"):
            other.leave_one_out()
    opened = kernelfit.open(tmp_path / "run")
    assert_array_equal(opened.leave_one_out(), expected[1])
    opened.close()
    assert kernelfit.check(tmp_path / "run").ok
    with pytest.raises(kernelfit.errors.KernelfitError, match="weights is"):
        kernelfit.solve(x, y, **(options | {"sample_weight": 2 * w}), run_dir=tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, -1.0, 1.0], r"^sample_weight: got -1.0 at row 1"),
        ([1.0, np.nan, 1.0], r"^sample_weight: got nan at row 1"),
        ([0.0, 0.0, 0.0], r"^sample_weight: got zeros only"),
        ([1.0, 5e-324, 1.0], r"^sample_weight: ridge / 4.94e-324 overflows"),
        ([1.0, 1.0], r"^sample_weight: got shape \(2,\), expected \(3,\)"),
        (["a", "b", "c"], r"^sample_weight: got dtype"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(InputError, match=message):
        kernelfit.solve(np.eye(3), np.arange(3.0), ridge=1.0, gamma=1.0, sample_weight=weights)


def test_one_number_weighs_all_rows(problem):
    x, y, _ = problem
    heavy = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, sample_weight=4.0)
    assert_allclose(
        heavy.alpha, kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE / 4).alpha, rtol=1e-11, atol=1e-13
    )


def test_the_linear_kernel_of_few_features_leaves_rows_out(rng):
    x, y, w = rng.standard_normal((30, 4)), rng.standard_normal(30), rng.uniform(0.5, 2.0, 30)
    x, y, w = np.vstack([x, x[:1]]), np.append(y, y[0]), np.append(w, 0.0)
    solution = kernelfit.solve(x, y, kernel="linear", sample_weight=w)
    for i, value in enumerate(solution.leave_one_out()):
        rest = (np.arange(31) != i) & (w > 0)
        roots = np.sqrt(w[rest])
        weights = np.linalg.lstsq(x[rest] * roots[:, None], y[rest] * roots, rcond=None)[0]
        assert value == pytest.approx(x[i] @ weights, rel=1e-9)


@pytest.mark.parametrize("weights", [None, np.ones(32)])
def test_least_squares_counts_every_row(rng, weights):
    """A copy was left out where none of the rows had a weight: w was 2.2 and not 2 for rows 1, 1, 2."""
    few = kernelfit.solve([[1.0], [1.0], [2.0]], [1.0, 1.0, 5.0], kernel="linear")
    assert few.predict([[1.0]]) == pytest.approx(2.0)
    x, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    x, y = np.vstack([x, x[:2]]), np.append(y, y[:2])
    solution = kernelfit.solve(x, y, kernel="linear", sample_weight=weights)
    np.testing.assert_allclose(solution.predict(x), x @ np.linalg.lstsq(x, y, rcond=None)[0], atol=1e-12)
    for i, value in enumerate(solution.leave_one_out()):
        rest = np.arange(32) != i
        assert value == pytest.approx(x[i] @ np.linalg.lstsq(x[rest], y[rest], rcond=None)[0], rel=1e-9)
    assert not solution.duplicates


def test_whether_weights_matter_is_a_question_to_rows_as_they_are():
    """A row of a tiny weight was rounding: its target was not met, and the certificate said that all were."""
    x, y = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([1.0, 1.0, 5.0])
    solution = kernelfit.solve(x, y, kernel="linear", sample_weight=[1.0, 1.0, 1e-32])
    assert not solution.certificate.interpolates
    assert not solution.certificate.consistent
    assert not any(note.startswith("sample_weight") for note in solution.notes)
    x, y = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.array([2.0, 2.0, 7.0])
    solution = kernelfit.solve(x, y, kernel="linear", sample_weight=[1.0, 1.0, 1e-40])
    np.testing.assert_allclose(solution.predict(x), y, rtol=1e-14)
    assert solution.certificate.interpolates
    assert solution.leave_one_out()[0] == pytest.approx(2.0)
    x[1] = [2.0, 0.0]  # nothing meets the first two, and the third alone spans its direction
    lost = kernelfit.solve(x, [2.0, 5.0, 7.0], kernel="linear", sample_weight=[1.0, 1.0, 1e-40])
    assert any(note.startswith("sample_weight: 1 of 2 directions lost in rounding") for note in lost.notes)


def test_the_norm_of_an_interpolant_does_not_see_weights(rng):
    x = rng.standard_normal((12, 12)) @ np.diag(np.logspace(0, -6, 12)) @ rng.standard_normal((12, 20))
    y, weights = x @ rng.standard_normal(20), np.ones(12)
    weights[3] = 1e-36
    expected = np.linalg.norm(np.linalg.lstsq(x, y, rcond=1e-15)[0])
    certificate = kernelfit.solve(x, y, kernel="linear", sample_weight=weights).certificate
    assert abs(certificate.rkhs_norm - expected) <= (certificate.rkhs_norm_error + 1e-9) * expected


def test_the_row_of_the_least_pivot_is_that_of_x(rng, tmp_path):
    x, y, weights = rng.standard_normal((30, 2)), rng.standard_normal(30), np.ones(30)
    x[20] = x[12] + 1e-3
    weights[[0, 5]] = 0.0
    solution = kernelfit.solve(x, y, gamma=0.1, ridge=1e-9, sample_weight=weights, run_dir=tmp_path / "run")
    row = solution.certificate.min_pivot_row
    before = kernelfit.open(tmp_path / "run")
    assert solution.kept[before.factor.pivots.row] == row
    assert before.certificate.min_pivot_row == row
    order = list(solution.kept)
    lower = np.linalg.cholesky(
        np.exp(-0.1 * ((x[order][:, None] - x[order]) ** 2).sum(-1)) + 1e-9 * np.eye(28)
    )
    assert order[int(np.argmin(np.diagonal(lower)))] == row


def test_a_gram_of_another_width_is_one_line(rng):
    x, y, weights = rng.standard_normal((7, 2)), rng.standard_normal(7), np.array([1.0, 0, 1, 0, 0, 1, 0])
    gram = np.exp(-((x[:, None] - x) ** 2).sum(-1))
    solution = kernelfit.solve(gram, y, kernel="precomputed", sample_weight=weights)
    np.testing.assert_allclose(solution.predict(gram), solution.predict(gram[:, solution.kept]))
    with pytest.raises(InputError, match=r"X: got shape \(7, 6\), expected \(m, 3\)"):
        solution.predict(gram[:, :6])


@pytest.mark.parametrize("ridge", [0.0, "auto"])
def test_weights_of_equal_rows_that_overflow_together_are_refused(rng, ridge):
    """One of them counted infinitely often, and the choice of a ridge was among NaN."""
    x = rng.standard_normal((12, 2))
    x[1] = x[0]
    with pytest.raises(InputError, match="sample_weight: got weights of equal rows that add up"):
        kernelfit.solve(x, x[:, 0], gamma=1.0, ridge=ridge, sample_weight=np.full(12, 1e308))
