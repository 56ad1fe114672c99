"""Solutions against SciPy and scikit-learn: precisions, tiers, repeated rows, more right-hand sides."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import cho_factor, cho_solve
from sklearn.kernel_ridge import KernelRidge

import kernelfit
from kernelfit.errors import (
    DuplicateRowsError,
    InputError,
    KernelfitError,
    NotPositiveDefiniteError,
)
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.kernels import Gaussian, Linear, Pairwise
from kernelfit.linalg.conjugate_gradients import backward_error
from kernelfit.progress import Silent

EPS = np.finfo(float).eps


def gaussian_matrix(x, y, gamma):
    return np.exp(-gamma * ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1))


@pytest.mark.parametrize("tier", ["ram", "disk"])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_equals_scipy(problem, tolerance, tier, ridge):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=0.5, ridge=ridge, tier=tier)
    a = gaussian_matrix(x, x, 0.5) + ridge * np.eye(300)
    alpha = cho_solve(cho_factor(a), y)
    certificate = solution.certificate
    error = tolerance(float, 300) * np.linalg.cond(a) * np.abs(alpha).max()
    np.testing.assert_allclose(solution.alpha, alpha, atol=error)
    np.testing.assert_allclose(solution.fitted, (a - ridge * np.eye(300)) @ alpha, atol=error)
    assert solution.plan.tier == tier
    assert certificate.backward_error < 1e-15
    assert certificate.norm == pytest.approx(np.linalg.norm(a, 1), rel=1e-12)
    exact = np.linalg.cond(a, 1)
    assert exact / 3 <= certificate.condition_estimate <= exact * 1.001
    pivots = np.diag(np.linalg.cholesky(a)) ** 2
    assert certificate.min_pivot == pytest.approx(pivots.min(), rel=1e-9)
    assert certificate.min_pivot_row == pivots.argmin()
    assert certificate.log_det == pytest.approx(np.linalg.slogdet(a)[1], rel=1e-10)
    assert certificate.interpolates == (ridge == 0)
    assert certificate.rank == 300
    per_column = np.sqrt(np.einsum("ij,ij->j", alpha, (a - ridge * np.eye(300)) @ alpha))
    np.testing.assert_allclose(solution.rkhs_norm_per_column, per_column, rtol=1e-9)
    assert solution.rkhs_norm == pytest.approx(np.linalg.norm(per_column), rel=1e-9)


@pytest.mark.parametrize("ridge", [1e-8, 0.1, 10.0])
def test_agrees_with_kernel_ridge(problem, rng, ridge):
    x, y = problem
    test = rng.standard_normal((40, 6))
    reference = KernelRidge(alpha=ridge, kernel="rbf", gamma=0.5).fit(x, y)
    solution = kernelfit.solve(x, y, gamma=0.5, ridge=ridge)
    np.testing.assert_allclose(solution.predict(test), reference.predict(test), atol=1e-9)
    np.testing.assert_allclose(solution.alpha, reference.dual_coef_, rtol=1e-6, atol=1e-8)


def test_without_a_ridge_the_targets_are_met(problem):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=0.5)
    np.testing.assert_allclose(solution.predict(x), y, atol=1e-10)
    assert solution.score(x, y) == pytest.approx(1.0)
    assert solution.notes == []


def test_one_row():
    solution = kernelfit.solve([[1.0, 2.0]], [3.0], gamma=1.0)
    assert solution.alpha.tolist() == [[3.0]]
    assert solution.predict([[1.0, 2.0]]).tolist() == [3.0]
    assert solution.leave_one_out().tolist() == [0.0]
    assert solution.certificate.condition_estimate == 1.0


def test_results_do_not_depend_on_threads_or_tier(rng):
    x, y = rng.standard_normal((1800, 3)), rng.standard_normal((1800, 2))
    found = set()
    for tier in ("ram", "disk"):
        for threads in (1, 2, 3):
            solution = kernelfit.solve(x, y, gamma=20.0, tier=tier, threads=threads)
            certificate = {**solution.certificate.to_dict()}
            found.add((solution.alpha.tobytes(), solution.fitted.tobytes(), json.dumps(certificate)))
            solution.close()
    assert len(found) == 1


# Precisions


def test_mixed_precision_gives_float64_norms(rng):
    x = rng.standard_normal((700, 5))
    y = np.sign(x[:, :2])
    double = kernelfit.solve(x, y, gamma=0.5)
    mixed = kernelfit.solve(x, y, gamma=0.5, precision="mixed")
    assert double.certificate.condition_estimate > 1e4
    assert mixed.certificate.factor_precision == "float32"
    assert mixed.certificate.refinements > 0
    assert mixed.rkhs_norm == pytest.approx(double.rkhs_norm, rel=1e-9)
    np.testing.assert_allclose(mixed.rkhs_norm_per_column, double.rkhs_norm_per_column, rtol=1e-9)
    assert mixed.certificate.backward_error <= 5 * EPS
    assert mixed.certificate.interpolates
    assert mixed.plan.precision == "mixed"


def test_mixed_precision_without_room_for_a_cache_gives_the_same(rng):
    x = rng.integers(0, 256, (500, 30), dtype=np.uint8)
    y = rng.standard_normal((500, 2))
    roomy = kernelfit.solve(x, y, gamma=1.0, scale=1 / 255, precision="mixed")
    tight = kernelfit.solve(x, y, gamma=1.0, scale=1 / 255, precision="mixed", tier="disk")
    assert roomy.plan.cache != "none"
    assert tight.plan.cache == "none"
    np.testing.assert_allclose(roomy.alpha, tight.alpha, rtol=1e-7, atol=1e-9)


def test_mixed_precision_that_falls_back_says_so(rng):
    x = np.linspace(0, 1, 200)[:, None]
    y = np.sin(x)
    progress = Silent()
    solution = kernelfit.solve(
        x, y, kernel="matern", kernel_params={"nu": 2.5}, precision="mixed", progress=progress
    )
    assert solution.certificate.factor_precision == "float64"
    assert solution.plan.precision == "float64"
    assert solution.certificate.backward_error < 1e-14
    assert any(note.startswith("mixed precision fell back to float64: ") for note in solution.notes)
    assert progress.notes == solution.notes
    reference = kernelfit.solve(x, y, kernel="matern", kernel_params={"nu": 2.5})
    assert np.array_equal(solution.alpha, reference.alpha)


def test_single_precision_says_how_good_it_is(problem):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=2.0, precision="float32")
    assert 1e-10 < solution.certificate.backward_error < 1e-5
    assert solution.certificate.refinements == 0
    assert not solution.certificate.interpolates
    reference = kernelfit.solve(x, y, gamma=2.0)
    np.testing.assert_allclose(solution.predict(x), reference.predict(x), atol=1e-3)


def test_jitter_is_recorded_and_refined_away(problem):
    x, y = problem
    plain = kernelfit.solve(x, y, gamma=1.0)
    shifted = kernelfit.solve(x, y, gamma=1.0, jitter=1e-4)
    assert shifted.certificate.jitter == 1e-4
    assert shifted.certificate.refinements > 0
    assert shifted.certificate.interpolates
    assert shifted.notes == plain.notes
    np.testing.assert_allclose(shifted.alpha, plain.alpha, rtol=1e-6, atol=1e-8)
    assert plain.certificate.jitter == 0.0
    assert shifted.certificate.log_det > plain.certificate.log_det


def test_a_jitter_below_rounding_takes_no_refinement(rng):
    x = rng.standard_normal((700, 6))  # enough rows for a backward error well below the unit roundoff
    y = np.sin(x[:, :2])
    assert kernelfit.solve(x, y, gamma=1.0, jitter=1e-30).certificate.refinements == 0


def test_a_jitter_beside_which_k_is_nothing_is_said(problem):
    """The condition number was |K|_1 |(K + jitter I)^-1|_1, 1e-299."""
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=1.0, jitter=1e300)
    assert solution.certificate.condition_estimate == 1.0
    assert math.isnan(solution.certificate.forward_error)
    assert not solution.certificate.interpolates
    assert any(note.startswith("jitter 1e+300 was not refined away") for note in solution.notes)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_condition_number_of_a_small_problem_is_that_without_the_jitter(rng, precision):
    x, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    K = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2))
    certificate = kernelfit.solve(x, y, gamma=1.0, jitter=1.0, precision=precision).certificate
    assert certificate.condition_estimate == pytest.approx(np.linalg.cond(K, 1), rel=1e-9)
    assert certificate.forward_error < 1e-12


def test_refinement_never_ends_beyond_the_targets():
    """K with an eigenvalue of -1e-9: a residual of 760 times the targets had a small backward error."""
    random = np.random.default_rng(0)
    basis = np.linalg.qr(random.standard_normal((15, 15)))[0]
    values = np.concatenate([np.geomspace(16, 1e-7, 14), [-1e-9]])
    K = (basis * values) @ basis.T
    y = 100 * random.standard_normal((15, 2))
    for jitter in (1e-6, 1e-8):
        solution = kernelfit.solve((K + K.T) / 2, y, kernel="precomputed", jitter=jitter)
        assert (np.abs(y - solution.fitted).max(axis=0) <= np.abs(y).max(axis=0)).all()


def test_jitter_that_cannot_be_refined_away_is_no_interpolation():
    x = np.linspace(0, 1, 200)[:, None]
    y = np.sign(x - 0.5)
    with pytest.raises(NotPositiveDefiniteError):
        kernelfit.solve(x, y, gamma=1.0)
    solution = kernelfit.solve(x, y, gamma=1.0, jitter=1e-6)
    assert not solution.certificate.interpolates
    assert solution.certificate.residual > 0.01
    assert any(note.startswith("jitter 1e-06 was not refined away") for note in solution.notes)
    residual = backward_error(y - solution.fitted, solution.certificate.norm, solution.alpha, y)
    assert solution.certificate.backward_error == pytest.approx(residual)


def indefinite(x, y):
    """1 on the diagonal, but 2 between neighbours: no kernel."""
    distance = abs(x[0] - y[0])
    return 1.0 if distance == 0.0 else 2.0 if distance < 1.0 else 0.0


@pytest.mark.parametrize("tier", ["ram", "disk"])
def test_a_pivot_that_is_not_positive_names_the_row_its_neighbour_and_what_to_do(tier):
    x = 3.0 * np.arange(50)[:, None]
    x[41] = x[17] + 0.5
    with pytest.raises(NotPositiveDefiniteError) as caught:
        kernelfit.solve(x, np.ones(50), kernel=Pairwise(indefinite), tier=tier)
    assert (caught.value.row, caught.value.neighbour) == (41, 17)
    assert caught.value.pivot == pytest.approx(-3.0)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("row 41", "-3", "nearest row is 17 at distance 0.5", "falls off faster", "ridge"):
        assert part in message


@pytest.mark.parametrize(("kernel", "rank"), [("cosine", 3), ("polynomial", 20)])
def test_a_kernel_of_too_small_a_rank_is_named(rng, kernel, rank):
    with pytest.raises(NotPositiveDefiniteError) as caught:
        kernelfit.solve(rng.standard_normal((30, 3)), np.ones(30), kernel=kernel)
    message = str(caught.value)
    assert f"this kernel has a rank of {rank} at most, and there are 30 rows: give ridge or jitter" in message
    assert "drop one" not in message


def test_weak_pivots_are_noted(rng):
    k = np.eye(40)
    k[20, 10] = k[10, 20] = 1.0 - 5e-15
    solution = kernelfit.solve(k, rng.standard_normal(40), kernel="precomputed")
    assert solution.certificate.weak_pivots == 1
    assert solution.certificate.min_pivot_row == 20
    assert any("1 pivots are below" in note and "nearly dependent" in note for note in solution.notes)


# Repeated rows


def test_repeated_rows_with_equal_targets_are_left_out_and_noted(rng):
    x, y = rng.standard_normal((30, 2)), rng.standard_normal((30, 1))
    doubled, targets = np.concatenate([x, x[[3, 7]], x[[3]]]), np.concatenate([y, y[[3, 7]], y[[3]]])
    solution = kernelfit.solve(doubled, targets, gamma=1.0)
    assert solution.kept.tolist() == list(range(30))
    assert solution.notes == [
        "3 rows repeat an earlier row with the same target and were left out: 30, 31, 32"
    ]
    assert np.array_equal(solution.alpha, kernelfit.solve(x, y, gamma=1.0).alpha)
    again = solution.solve(2 * targets)
    np.testing.assert_allclose(again.alpha, 2 * solution.alpha, rtol=1e-12)
    assert np.array_equal(solution.solve(2 * y).alpha, again.alpha)


def test_repeated_rows_with_other_targets_are_an_error_that_lists_them(rng):
    x, y = rng.standard_normal((30, 2)), rng.standard_normal((30, 1))
    x[29], x[11] = x[4], x[4]
    with pytest.raises(
        DuplicateRowsError,
        match=r"rows 4, 11, 29; drop all but one of each, or give ridge > 0 \(or 'auto'\)$",
    ) as caught:
        kernelfit.solve(x, y, gamma=1.0)
    assert caught.value.groups == ((4, 11, 29),)


def test_with_a_ridge_repeated_rows_stay(rng):
    x, y = np.repeat(rng.standard_normal((10, 2)), 2, axis=0), rng.standard_normal((20, 1))
    solution = kernelfit.solve(x, y, gamma=1.0, ridge=0.1)
    assert len(solution.kept) == 20
    reference = KernelRidge(alpha=0.1, kernel="rbf", gamma=1.0).fit(x, y)
    np.testing.assert_allclose(solution.predict(x), reference.predict(x), atol=1e-10)


# The same factor


@pytest.mark.parametrize("precision", ["float64", "mixed"])
@pytest.mark.parametrize("tier", ["ram", "disk"])
def test_more_right_hand_sides_from_the_same_factor(problem, rng, precision, tier):
    x, y = problem
    first = kernelfit.solve(x, y[:, 0], gamma=1.0, precision=precision, tier=tier)
    for targets in (y, rng.standard_normal(300)):
        more, alone = first.solve(targets), kernelfit.solve(x, targets, gamma=1.0)
        np.testing.assert_allclose(more.alpha, alone.alpha, rtol=1e-6, atol=1e-7)
        assert more.certificate.backward_error <= 5 * EPS
        assert more.predict(x[:3]).shape == targets[:3].shape
        assert more.seconds["factor"] == 0.0
    np.testing.assert_allclose(first.predict(x), y[:, 0], atol=1e-7)


def test_a_second_solve_leaves_what_the_first_one_took(problem, rng):
    x, y = problem
    first = kernelfit.solve(x, y, gamma=1.0, tier="disk")
    before = dict(first.seconds), dict(first.traffic)
    second = first.solve(rng.standard_normal((300, 2)))
    assert (first.seconds, first.traffic) == before
    assert second.traffic["solve_read"] == first.traffic["solve_read"] > 0
    assert second.traffic["factor_written"] == 0
    assert second.seconds["factor"] == 0.0 < second.seconds["certify"]


def test_the_choice_of_a_ridge_stays_with_its_targets(problem, rng):
    x, y = problem
    first = kernelfit.solve(x, y, gamma=1.0, ridge="auto")
    assert first.ridge_choice is not None
    second = first.solve(rng.standard_normal((300, 2)))
    assert second.ridge_choice is None
    assert second.ridge == first.ridge


def test_remarks_on_targets_stay_with_them(rng):
    x = np.hstack([np.ones((200, 1)), rng.standard_normal((200, 4))])
    inside, outside = x @ np.arange(1.0, 6.0), rng.standard_normal(200)
    first = kernelfit.solve(x, outside, kernel="linear", ridge=1e-10)
    assert any("fitted values and predictions may be off" in note for note in first.notes)
    second = first.solve(inside)
    assert not any("fitted values" in note for note in second.notes)
    assert any("fitted values" in note for note in second.solve(outside).notes)
    first.leave_one_out()
    assert any("leave-one-out may be off by" in note for note in first.notes)
    assert not any("leave-one-out" in note for note in first.solve(inside).notes)


def test_right_hand_sides_of_other_lengths_are_refused(problem):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=1.0)
    for rows in (0, 1, 299, 301):
        with pytest.raises(InputError, match=rf"^Y: got {rows} rows, expected 300"):
            solution.solve(np.ones((rows, 1)))
    with pytest.raises(InputError, match=r"^Y: got dtype"):
        solution.solve(["a"] * 300)


def test_new_targets_of_repeated_rows_must_agree(rng):
    x = rng.standard_normal((10, 2))
    x[9] = x[2]
    y = rng.standard_normal(10)
    y[9] = y[2]
    solution = kernelfit.solve(x, y, gamma=1.0)
    with pytest.raises(DuplicateRowsError, match=r"rows 2, 9;"):
        solution.solve(np.arange(10.0))


def test_a_closed_solution_still_predicts(problem):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=1.0, tier="disk")
    before = solution.predict(x)
    solution.close()
    solution.close()
    assert np.array_equal(solution.predict(x), before)
    for method in (solution.leave_one_out, lambda: solution.solve(y)):
        with pytest.raises(InputError, match=r"got a solution without its factor"):
            method()


def test_a_solution_whose_factor_another_one_closed_says_so(problem):
    x, y = problem
    first = kernelfit.solve(x, y, gamma=1.0)
    second = first.solve(2 * y)
    first.close()
    for method in (second.leave_one_out, lambda: second.solve(y)):
        with pytest.raises(InputError, match=r"got a solution without its factor"):
            method()
    second.close()
    np.testing.assert_allclose(second.predict(x), 2 * first.predict(x), rtol=1e-9)


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_leave_one_out_is_scored_by_leaving_out(problem, precision):
    x, y = problem
    predictions = kernelfit.solve(x, y, gamma=1.0, precision=precision).leave_one_out()
    for row in (0, 17, 299):
        others = np.delete(np.arange(300), row)
        alone = kernelfit.solve(x[others], y[others], gamma=1.0).predict(x[[row]])[0]
        np.testing.assert_allclose(
            predictions[row], alone, rtol=1e-9 if precision == "float64" else 1e-3, atol=1e-4
        )


# Other paths


def test_the_linear_kernel_with_few_features_goes_the_primal_way(rng):
    x = rng.standard_normal((80, 5))
    w = rng.standard_normal((5, 2))
    solution = kernelfit.solve(x, x @ w, kernel="linear")
    np.testing.assert_allclose(solution.weights, w, rtol=1e-10)
    np.testing.assert_allclose(solution.predict(x[:6]), (x @ w)[:6], atol=1e-12)
    assert solution.certificate.interpolates
    assert solution.certificate.rank == 5
    assert solution.rkhs_norm == pytest.approx(np.linalg.norm(w))
    assert any("rank 5, consistent" in note for note in solution.notes)
    noisy = kernelfit.solve(x, rng.standard_normal((80, 2)), kernel=Linear())
    assert not noisy.certificate.interpolates
    assert any("not consistent: least squares" in note for note in noisy.notes)
    dual = kernelfit.solve(x, x @ w, kernel="linear", ridge=1e-3)
    assert dual.weights is None
    np.testing.assert_allclose(dual.predict(x), KernelRidge(alpha=1e-3).fit(x, x @ w).predict(x), atol=1e-9)


@pytest.mark.parametrize("kind", ["array", "lower", "float32", "panels"])
def test_a_gram_matrix_that_is_given(problem, kind):
    x, y = problem
    k = gaussian_matrix(x, x, 1.0)
    layout = PanelLayout.of_order(300)
    given_gram = {
        "array": k,
        "lower": np.tril(k),
        "float32": k.astype(np.float32),
        "panels": PanelGram(
            layout, [k[layout.start(j) :, layout.start(j) : layout.stop(j)] for j in range(layout.count)]
        ),
    }[kind]
    solution = kernelfit.solve(given_gram, y, kernel="precomputed")
    reference = kernelfit.solve(x, y, gamma=1.0)
    np.testing.assert_allclose(
        solution.alpha,
        reference.alpha,
        rtol=1e-2 if kind == "float32" else 1e-8,
        atol=1e-3 if kind == "float32" else 1e-8,
    )
    assert solution.certificate.backward_error < 1e-15
    np.testing.assert_allclose(
        solution.predict(gaussian_matrix(x[:4], x, 1.0)), solution.fitted[:4], atol=1e-3
    )
    with pytest.raises(InputError, match=r"^X: got shape \(4, 6\), expected \(m, 300\)"):
        solution.predict(x[:4])
    with pytest.raises(InputError, match=r"^X: got dtype"):
        solution.predict([["a"] * 300])


def absolute(x, y):
    return min(x[0], y[0])


def test_a_users_kernel_on_every_tier(rng):
    """min(x, y) is the kernel of Brownian motion: its interpolant joins the points by straight lines."""
    x = np.sort(rng.random(80))[:, None] + 0.1
    y = rng.standard_normal(80)
    between = (x[:-1] + x[1:]) / 2
    for tier in ("ram", "disk"):
        solution = kernelfit.solve(x, y, kernel=Pairwise(absolute), tier=tier)
        np.testing.assert_allclose(solution.predict(between), (y[:-1] + y[1:]) / 2, atol=1e-8)


def test_bytes_floats_and_scales_give_the_same_function(rng):
    x = rng.integers(0, 256, (120, 40), dtype=np.uint8)
    y = rng.standard_normal((120, 2))
    reference = kernelfit.solve(x, y, gamma=0.5, scale=1 / 255)
    assert reference.points.exact
    for other in (x / 255, (x / 255).astype(np.float32)):
        solution = kernelfit.solve(other, y, gamma=0.5)
        assert np.array_equal(solution.alpha, reference.alpha)
        assert np.array_equal(solution.predict(other[:9]), reference.predict(x[:9]))
    rounded = kernelfit.solve(x.astype(float), y, gamma=0.5, scale=1 / 255)
    assert not rounded.points.exact
    np.testing.assert_allclose(rounded.alpha, reference.alpha, rtol=1e-8)


@pytest.mark.parametrize("gamma", [None, "median", "auto", 0.3, "0.3"])
def test_gamma_by_rule_or_number(problem, gamma):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=gamma, ridge=1e-6)
    if gamma in (0.3, "0.3"):
        assert solution.kernel == Gaussian(0.3)
    assert solution.kernel.gamma > 0
    assert any("leave-one-out" in note for note in solution.notes) == (gamma == "auto")


@settings(deadline=None, max_examples=60)
@given(
    n=st.integers(1, 60),
    d=st.integers(1, 6),
    columns=st.integers(1, 4),
    ridge=st.sampled_from([0.0, 1e-3, 1.0]),
    spread=st.sampled_from([1e-3, 1.0, 1e3]),
    precision=st.sampled_from(["float64", "mixed", "float32"]),
    seed=st.integers(0, 2**31),
)
def test_any_small_problem_is_solved_to_its_certificate_or_refused_in_one_line(
    n, d, columns, ridge, spread, precision, seed
):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)) * spread, rng.standard_normal((n, columns))
    try:
        solution = kernelfit.solve(x, y, kernel=Gaussian(1.0), ridge=ridge, precision=precision)
    except KernelfitError as error:
        message = str(error)
    else:
        k = gaussian_matrix(x, x, 1.0) + ridge * np.eye(n)
        error = backward_error(y - k @ solution.alpha, np.linalg.norm(k, 1), solution.alpha, y)
        # |x - y|^2 comes from inner products, so its error is of the order of eps |x|^2.
        of_distances = 20 * EPS * float((x**2).sum(axis=1).max())
        assert error <= (1e-5 if precision == "float32" else 1e-14) + of_distances
        assert solution.certificate.backward_error == pytest.approx(
            error, abs=4 * n * EPS + of_distances, rel=0.1
        )
        return
    assert len(message.splitlines()) == 1


# Real data and size


def test_mnist_four_thousand(mnist_dir):
    from kernelfit.datasets import load

    data = load("mnist", n_train=4000, data_dir=mnist_dir)
    labels = np.eye(10)[data.y_train]
    solution = kernelfit.solve(data.X_train, labels, gamma=0.02, scale=data.scale)
    assert solution.points.exact
    wrong = np.mean(solution.predict(data.X_test).argmax(axis=1) != data.y_test)
    assert wrong == pytest.approx(0.0400, abs=0.0002)
    assert solution.rkhs_norm == pytest.approx(39.4, abs=0.1)
    assert solution.certificate.min_pivot == pytest.approx(1.0e-2, rel=0.1)
    assert solution.certificate.backward_error < 1e-14
    assert (solution.fitted.argmax(axis=1) == data.y_train).all()


@pytest.mark.parametrize("kernel", ["linear", "cosine", "arc-cosine"])
def test_a_row_of_zeros_is_named_as_such(kernel):
    """The advice was a ridge "from about 0e+00", and a larger gamma for kernels that have none."""
    with pytest.raises(
        NotPositiveDefiniteError, match=r"k\(x, x\) is 0 there, as of a row of zeros"
    ) as caught:
        kernelfit.solve(np.zeros((1, 3)), np.ones(1), kernel=kernel)
    assert "0e+00" not in str(caught.value)
    assert "gamma" not in str(caught.value)


def test_a_distance_is_said_to_be_no_kernel():
    """A row of zeros was to be left out, of rows without any."""
    x = np.arange(1.0, 6.0)[:, None]
    with pytest.raises(
        NotPositiveDefiniteError, match=r"k\(x, x\) is 0 for every row: no kernel is"
    ) as caught:
        kernelfit.solve((x - x.T) ** 2, np.ones(5), kernel="precomputed")
    assert "row of zeros" not in str(caught.value)


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
@pytest.mark.parametrize(("n", "width"), [(200, None), (300, None), (600, 128)])
def test_a_condition_number_changes_no_bit_of_alpha(rng, precision, n, width):
    """Its first solve is that of the targets."""
    x, y = rng.standard_normal((n, 8)), rng.standard_normal((n, 3))
    options = {"gamma": 0.5, "ridge": 0.1, "precision": precision, "panel_width": width, "device": "cpu"}
    with_it = kernelfit.solve(x, y, **options)
    without = kernelfit.solve(x, y, condition=False, threads=1, tier="disk", **options)
    np.testing.assert_array_equal(with_it.alpha, without.alpha)
    assert with_it.certificate.condition_estimate > 1
    assert np.isnan(without.certificate.condition_estimate)


def test_targets_solved_for_together_have_the_bits_of_each(rng):
    x, y = rng.standard_normal((300, 8)), rng.standard_normal((300, 30))
    together = kernelfit.solve(x, y, gamma=0.5, ridge=0.1).alpha
    alone = kernelfit.solve(x, y[:, 7], gamma=0.5, ridge=0.1).alpha
    np.testing.assert_array_equal(together[:, 7], alone.ravel())
