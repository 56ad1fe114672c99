"""A ridge for each target: every column is that of a solve of its own, and of scikit-learn's KernelRidge."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import LinAlgWarning
from sklearn.kernel_ridge import KernelRidge

import kernelfit
from kernelfit import KernelClassifier, KernelInterpolator
from kernelfit.errors import InputError
from kernelfit.progress import Notes
from kernelfit.solver.by_ridge import bytes_kept, solve_by_ridge

RIDGES = np.array([0.1, 2.0, 0.1, 0.0])


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(8)
    return rng.standard_normal((60, 4)), rng.standard_normal((60, 4)), rng.standard_normal((20, 4))


@pytest.fixture(scope="module")
def solution(problem):
    x, y, _ = problem
    return kernelfit.solve(x, y, gamma=0.4, ridge=RIDGES)


def test_columns_are_those_of_solves_of_their_own(problem, solution):
    x, y, new = problem
    deviations = solution.predict(new, return_std=True)[1]
    left_out, likelihood = solution.leave_one_out(), 0.0
    for c, ridge in enumerate(RIDGES):
        one = kernelfit.solve(x, y[:, c], gamma=0.4, ridge=ridge)
        assert_allclose(solution.alpha[:, c], one.alpha[:, 0], rtol=1e-12, atol=1e-14)
        assert_allclose(left_out[:, c], one.leave_one_out(), rtol=1e-10, atol=1e-12)
        assert_allclose(deviations[:, c], one.predict(new, return_std=True)[1], rtol=1e-12)
        assert_allclose(solution.rkhs_norm_per_column[c], one.rkhs_norm, rtol=1e-12)
        likelihood += one.log_marginal_likelihood()
    assert_allclose(solution.log_marginal_likelihood(), likelihood, rtol=1e-13)
    assert_array_equal(solution.ridge, RIDGES)
    assert "ridge 0.1, 2, 0.1, 0" in solution.summary()


def test_the_certificate_has_a_part_for_each_ridge(problem, solution):
    x, y, _ = problem
    parts = solution.certificate.by_ridge
    assert [(part["ridge"], part["targets"]) for part in parts] == [(0.0, [3]), (0.1, [0, 2]), (2.0, [1])]
    assert [part["interpolates"] for part in parts] == [True, False, False]
    alone = kernelfit.solve(x, y[:, [1]], gamma=0.4, ridge=2.0).certificate
    assert_allclose(parts[2]["condition_estimate"], alone.condition_estimate)
    assert solution.certificate.backward_error == max(part["backward_error"] for part in parts) < 1e-15
    assert not solution.certificate.interpolates


def test_more_right_hand_sides_files_and_copies(problem, solution, tmp_path):
    x, y, new = problem
    more = solution.solve(y[:, ::-1])
    assert_allclose(more.alpha, kernelfit.solve(x, y[:, ::-1], gamma=0.4, ridge=RIDGES).alpha, atol=1e-13)
    with pytest.raises(InputError, match=r"Y: got shape \(60, 2\)"):
        solution.solve(y[:, :2])
    solution.save(tmp_path / "solution.h5")
    loaded = kernelfit.load(tmp_path / "solution.h5")
    assert json.dumps(loaded.certificate.to_dict()) == json.dumps(solution.certificate.to_dict())
    assert_allclose(loaded.log_marginal_likelihood(), solution.log_marginal_likelihood())
    for other in (loaded, pickle.loads(pickle.dumps(solution))):
        assert_array_equal(other.predict(new), solution.predict(new))
        assert_array_equal(other.ridge, RIDGES)
        with pytest.raises(InputError, match="without its factor"):
            other.leave_one_out()


def test_the_estimators_use_the_factors_that_were_kept(problem, monkeypatch):
    """Deviations were refused as those of a copy, and probabilities made all factors anew."""
    x, y, new = problem
    kept = KernelInterpolator(gamma=0.4, ridge=RIDGES + 0.1, keep_factor=True).fit(x, y)
    expected = [kernelfit.solve(x, y[:, c], gamma=0.4, ridge=ridge) for c, ridge in enumerate(RIDGES + 0.1)]
    deviations = kept.predict(new, return_std=True)[1]
    assert_allclose(deviations.T, [each.predict(new, return_std=True)[1] for each in expected], rtol=1e-12)
    assert "without its factor" not in kept.solution_.summary()
    for model in (pickle.loads(pickle.dumps(kept)), KernelInterpolator(ridge=RIDGES).fit(x, y)):
        assert model.solution_.lacks_factor
        with pytest.raises(InputError, match=r"^return_std: needs the factor, which"):
            model.predict(new, return_std=True)
    labels = (y[:, :3] > 0).astype(int)
    late = KernelClassifier(gamma=0.4, ridge=RIDGES[:3], keep_factor=True).fit(x, labels)
    early = KernelClassifier(gamma=0.4, ridge=RIDGES[:3], probability=True).fit(x, labels)
    with monkeypatch.context() as patch:
        patch.setattr("kernelfit.estimators.base.left_out_again", None)
        assert_array_equal(late.predict_proba(new), early.predict_proba(new))


@pytest.mark.parametrize("singular", ["ridge", "raise"])
def test_probabilities_where_memory_does_not_hold_all_factors(problem, monkeypatch, singular):
    """Leave-one-out was refused when all of them were made, and with it the fit; each is now made anew in turn."""
    x, y, new = problem
    x, y = np.vstack([x, x[:2]]), np.vstack([y, y[:2]])  # equal rows, which a ridge of 0 takes once
    labels = (y[:, :3] > 0).astype(int)
    options = {"gamma": 4.0, "ridge": (0.0, 0.1, 0.2), "singular": singular}
    expected = KernelClassifier(**options, probability=True).fit(x, labels)
    monkeypatch.setattr("kernelfit.solver.by_ridge.bytes_kept", lambda part: 2**60)
    for more in ({"probability": True}, {"keep_factor": True}, {}):
        model = KernelClassifier(**options, **more).fit(x, labels)
        assert model.solution_.lacks_factor
        assert_array_equal(model.predict_proba(new), expected.predict_proba(new))
        assert_array_equal(model.inverse_temperature_, expected.inverse_temperature_)
    K = np.exp(-4.0 * ((x[:, None] - x) ** 2).sum(-1))
    options = {"ridge": (0.2, 0.1, 0.2)}
    gram = KernelClassifier("precomputed", **options, probability=True).fit(K, labels)
    rows = KernelClassifier(gamma=4.0, **options, probability=True).fit(x, labels)
    assert_allclose(gram.inverse_temperature_, rows.inverse_temperature_, rtol=1e-9)


def test_leave_one_out_beside_a_target_on_the_primal_path(problem):
    """It was refused, as if the factor had been given back: the target without a ridge has none."""
    x, y, _ = problem
    ours = kernelfit.solve(x, y, kernel="linear", ridge=RIDGES)
    left_out = ours.leave_one_out()
    for c, ridge in enumerate(RIDGES):
        alone = kernelfit.solve(x, y[:, c], kernel="linear", ridge=ridge)
        assert_allclose(left_out[:, c], alone.leave_one_out(), rtol=1e-9, atol=1e-12)
    with pytest.raises(
        InputError, match=r"^inverse_diagonal: the primal path has no factor; give ridge > 0$"
    ):
        ours.inverse_diagonal()
    with pytest.raises(InputError, match=r"^log_marginal_likelihood: K has no inverse on the primal path"):
        ours.log_marginal_likelihood()
    assert ours.certificate.factor_precision == "float64"
    model = KernelInterpolator("linear", keep_factor=True).fit(x, y)
    with pytest.raises(InputError, match=r"^return_std: the primal path has no factor; give ridge > 0$"):
        model.predict(x, return_std=True)


def test_weights_and_equal_rows(problem):
    x, y, new = problem
    x, y = np.vstack([x, x[:5]]), np.vstack([y, y[:5]])
    ours = kernelfit.solve(x, y, gamma=0.4, ridge=RIDGES)
    theirs = KernelRidge(kernel="rbf", gamma=0.4, alpha=RIDGES[:3]).fit(x, y[:, :3])
    assert_allclose(ours.predict(new)[:, :3], theirs.predict(new), rtol=1e-9, atol=1e-11)
    weights = np.arange(1.0, 66.0)
    ours = kernelfit.solve(x, y, gamma=0.4, ridge=RIDGES + 1, sample_weight=weights)
    theirs = KernelRidge(kernel="rbf", gamma=0.4, alpha=RIDGES + 1).fit(x, y, sample_weight=weights)
    assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-9, atol=1e-11)


def test_equal_rows_are_left_out_beside_targets_without_a_ridge_alone(problem, tmp_path):
    x, y, _ = problem
    x, y = np.vstack([x, x[:5], x[:1]]), np.vstack([y, y[:5], y[:1]])
    ours = kernelfit.solve(x, y, gamma=0.4, ridge=RIDGES)
    left_out, distinct, likelihood = ours.leave_one_out(), ours.leave_one_out(distinct=True), 0.0
    inverse = ours.inverse_diagonal()
    for c, ridge in enumerate(RIDGES):
        alone = kernelfit.solve(x, y[:, c], gamma=0.4, ridge=ridge)
        assert_allclose(left_out[:, c], alone.leave_one_out(), rtol=1e-10, atol=1e-12)
        together = alone.leave_one_out(distinct=True)
        assert_allclose(distinct[alone.kept, c], together, rtol=1e-10, atol=1e-12)
        assert_allclose(inverse[alone.kept, c], alone.inverse_diagonal(), rtol=1e-10)
        assert np.isnan(inverse[:, c]).sum() == 66 - len(alone.kept)
        assert_allclose(ours.fitted[alone.kept, c], alone.fitted[:, 0], rtol=1e-12, atol=1e-14)
        likelihood += alone.log_marginal_likelihood()
    assert_array_equal(distinct[60:65, 3], distinct[:5, 3])  # left out together
    assert_allclose(ours.fitted[60:65], ours.fitted[:5], atol=1e-14)
    assert_allclose(ours.log_marginal_likelihood(), likelihood, rtol=1e-13)
    assert [note for note in ours.notes if note.startswith("6 rows repeat an earlier row")]
    more = ours.solve(2 * y)
    assert_allclose(more.alpha, 2 * ours.alpha, atol=1e-13)
    ours.save(tmp_path / "solution.h5")
    assert_allclose(
        kernelfit.load(tmp_path / "solution.h5").log_marginal_likelihood(), likelihood, rtol=1e-13
    )
    met = kernelfit.solve(x, y, gamma=0.4, ridge=[0.0] * 4)
    assert_allclose(met.solve(y[met.kept]).alpha, met.alpha, atol=1e-13)
    conflict = y.copy()
    conflict[60, 3] += 1.0
    with pytest.raises(InputError, match=r"rows 0, 60, 65"):
        kernelfit.solve(x, conflict, gamma=0.4, ridge=RIDGES)
    conflict[60] = y[60]
    conflict[60, 0] += 1.0  # beside a ridge: as anywhere
    kernelfit.solve(x, conflict, gamma=0.4, ridge=RIDGES)


def test_one_ridge_in_a_list_is_a_ridge(problem):
    x, y, new = problem
    ours, theirs = (kernelfit.solve(x, y[:, 0], gamma=0.4, ridge=ridge) for ridge in ([0.1], 0.1))
    assert_array_equal(ours.leave_one_out(), theirs.leave_one_out())
    for spread in ({"return_std": True}, {"return_cov": True}):
        assert ours.predict(new, **spread)[1].shape == theirs.predict(new, **spread)[1].shape
    assert_array_equal(ours.solve(y[:, 1]).alpha, theirs.solve(y[:, 1]).alpha)


def test_of_several_factors_the_coarsest_precision_is_said(problem):
    x, y, _ = problem
    ours = kernelfit.solve(x * 1e-3, y, gamma=0.4, ridge=[1e-14, 1.0, 1.0, 1.0], precision="mixed")
    assert {part["factor_precision"] for part in ours.certificate.by_ridge} == {"float64", "float32"}
    assert ours.certificate.factor_precision == "float32"


@pytest.mark.parametrize(("roomy", "lacks"), [(True, False), (False, True)])
def test_k_that_mixed_precision_keeps_counts_beside_its_factor(problem, roomy, lacks):
    """Both parts stayed where the limit was reached by their factors alone, a third of what they hold."""
    x, y, _ = problem
    parts = []

    def answered(part, notes):
        solved = kernelfit.solve(x, part.targets, gamma=0.4, ridge=part.ridge, precision="mixed")
        assert solved.plan.cache == "gram"
        held = sum(panel.nbytes for panel in solved.factor._products.panels) + solved.plan.bytes_factor
        solved.plan = replace(solved.plan, memory_limit=2 * 2 * held + 2 - (0 if roomy else 4))
        parts.append(solved)
        return solved

    whole = kernelfit.solve(x, y[:, :2], gamma=0.4, ridge=1.0).problem
    assert solve_by_ridge(whole, (0.1, 1.0), answered, Notes()).lacks_factor == lacks
    assert [part.lacks_factor for part in parts] == [lacks, lacks]


def test_an_iteration_of_each_ridge_is_told(problem, tmp_path):
    """Nothing said how any of them had ended."""
    x, y, _ = problem
    found = kernelfit.solve(x, y[:, :2], gamma=0.4, ridge=[0.1, 1.0], solver="pcg", tolerance=1e-3)
    assert found.convergence is None
    found.save(tmp_path / "solution.h5")
    for record in (found.to_dict(), kernelfit.load(tmp_path / "solution.h5").to_dict()):
        each = [part["convergence"] for part in record["by_ridge"]]
        assert [(one["measure"], one["stopped"]) for one in each] == [("relative residual", "converged")] * 2
        assert all(one["relative_residual"] <= 1e-3 for one in each)
    found.inverse_diagonal()
    assert all(part.inverse.deviation.shape == (60,) for _, part in found.parts)
    # A copy, or one of a file, has no parts to be asked.
    with pytest.raises(
        InputError, match=r"got a solution of 2 ridges, expected one, .* solve each ridge alone$"
    ):
        found.log_determinant()
    assert np.isfinite([part.log_determinant().value for _, part in found.parts]).all()


def test_k_that_an_iteration_went_back_to_counts(rng):
    """In float64, which no plan knows of."""
    x, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    part = kernelfit.solve(x, y, gamma=0.4, ridge=1.0, solver="pcg")
    assert bytes_kept(part) >= part.plan.layout.elements * 8
    part.convergence = replace(part.convergence, bytes_gram=10**12)
    assert bytes_kept(part) > 10**12


def test_the_estimator_is_kernel_ridge(problem):
    x, y, new = problem
    ours = KernelInterpolator(gamma=0.4, ridge=RIDGES + 0.1).fit(x, y)
    theirs = KernelRidge(kernel="rbf", gamma=0.4, alpha=RIDGES + 0.1).fit(x, y)
    assert_allclose(ours.predict(new), theirs.predict(new), rtol=1e-9, atol=1e-11)
    assert_array_equal(ours.ridge_, RIDGES + 0.1)
    x = np.linspace(0, 1, 60)[:, None]
    with pytest.warns(LinAlgWarning, match="ridge = "):
        model = KernelInterpolator(gamma=1.0, ridge=[0.0, 1.0]).fit(x, y[:, :2])
    assert model.ridge_[0] > 0


def test_a_linear_kernel_without_a_ridge_has_weights(problem):
    x, y, _ = problem
    ours = kernelfit.solve(x, y, kernel="linear", ridge=RIDGES)
    assert_allclose(ours.predict(x)[:, 3], x @ np.linalg.lstsq(x, y[:, 3])[0], atol=1e-12)
    left_out = ours.leave_one_out()
    for c, ridge in enumerate(RIDGES):
        alone = kernelfit.solve(x, y[:, c], kernel="linear", ridge=ridge)
        assert_allclose(left_out[:, c], alone.leave_one_out(), rtol=1e-9, atol=1e-11)


def test_weights_keep_the_digits_that_k_alpha_loses(problem, tmp_path):
    x, y, _ = problem
    x = np.column_stack([1e8 * x[:, 0], x[:, 1]])
    ours = kernelfit.solve(x, y[:, :2], kernel="linear", ridge=[0.0, 1e4])
    expected = (x / [1e8, 1.0]) @ np.linalg.lstsq(x / [1e8, 1.0], y[:, 0])[0]
    assert_allclose(ours.predict(x)[:, 0], expected, atol=1e-10)
    ours.save(tmp_path / "solution.h5")
    loaded = kernelfit.load(tmp_path / "solution.h5")
    assert "without its factor" in loaded.summary()
    assert_array_equal(loaded.predict(x), ours.predict(x))
    with pytest.raises(InputError, match="without its factor"):
        loaded.leave_one_out()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": [0.1, 0.2]}, "ridge: got 2 numbers for 4 targets"),
        ({"ridge": [0.1, -1, 0, 0]}, "ridge: got -1, expected a finite number >= 0"),
        ({"ridge": [[0.1]]}, r"ridge: got shape \(1, 1\)"),
        ({"ridge": RIDGES, "gamma": "auto"}, "ridge: got one for each target beside gamma='auto'"),
        ({"ridge": RIDGES, "run_dir": "run"}, "run_dir: got one for a ridge for each target"),
    ],
)
def test_ridges_that_are_none(problem, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x, y, _ = problem
    with pytest.raises(InputError, match=message):
        kernelfit.solve(x, y, **{"gamma": 0.4} | options)
