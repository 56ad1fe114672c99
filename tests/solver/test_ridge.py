"""ridge="auto": the least leave-one-out error, never the test set, and nothing decided in silence."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV

import kernelfit
from kernelfit.errors import InputError
from kernelfit.gram.source import ArrayGram
from kernelfit.linalg import ridge_path
from kernelfit.progress import Silent
from kernelfit.solver import ridge as ridge_module
from kernelfit.solver.ridge import CANDIDATES, choose_ridge, is_one_hot


@pytest.fixture
def noisy(rng):
    x = rng.uniform(-1, 1, (250, 2))
    return x, np.sin(3 * x[:, 0]) + 0.5 * rng.standard_normal(250)


def test_the_choice_has_the_least_error_of_all_that_were_tried(noisy):
    x, y = noisy
    solution = kernelfit.solve(x, y, gamma=5.0, ridge="auto")
    choice = solution.ridge_choice
    assert choice is not None
    assert solution.ridge == choice.ridge > 0
    # The best lies at the largest of the first candidates, so that larger ones are tried until it does not.
    assert [trial.relative for trial in choice.trials] == [*CANDIDATES, 3.16, 10.0]
    usable = [trial for trial in choice.trials if trial.loo_rmse is not None]
    assert choice.relative == min(usable, key=lambda trial: trial.loo_rmse).relative
    assert (choice.rows, choice.of) == (250, 250)
    assert solution.notes[-1] == choice.summary()
    assert f"ridge {choice.ridge:.4g}" in choice.summary()
    # The path says what the solution itself says.
    mine = next(trial for trial in choice.trials if trial.relative == choice.relative)
    left_out = solution.leave_one_out()
    assert np.sqrt(np.mean((left_out - y) ** 2)) == pytest.approx(mine.loo_rmse, rel=1e-8)


def test_it_is_the_solution_of_that_ridge_given_as_a_number(noisy):
    x, y = noisy
    chosen = kernelfit.solve(x, y, gamma=5.0, ridge="auto")
    given = kernelfit.solve(x, y, gamma=5.0, ridge=chosen.ridge)
    np.testing.assert_array_equal(chosen.alpha, given.alpha)
    assert given.ridge_choice is None


def test_leave_one_out_and_the_path_are_those_of_scikit_learn(rng):
    x, y = rng.standard_normal((90, 6)), rng.standard_normal((90, 2))
    choice = kernelfit.solve(x, y, kernel="linear", ridge="auto").ridge_choice
    ridges = [trial.ridge for trial in choice.trials if trial.ridge > 0]
    theirs = RidgeCV(alphas=ridges, fit_intercept=False, store_cv_results=True).fit(x, y)
    mine = [trial.loo_rmse for trial in choice.trials if trial.ridge > 0]
    np.testing.assert_allclose(mine, np.sqrt(theirs.cv_results_.mean(axis=(0, 1))), rtol=1e-8)
    assert choice.ridge == theirs.alpha_
    solution = kernelfit.solve(x, y, gamma=0.2, ridge=0.3)
    left_out = solution.leave_one_out()
    np.testing.assert_allclose(
        solution.predict(x[:9] + 0.1),
        KernelRidge(kernel="rbf", gamma=0.2, alpha=0.3).fit(x, y).predict(x[:9] + 0.1),
    )
    for row in (0, 89):
        others = np.delete(np.arange(90), row)
        model = KernelRidge(kernel="rbf", gamma=0.2, alpha=0.3).fit(x[others], y[others])
        np.testing.assert_allclose(left_out[row], model.predict(x[[row]])[0], rtol=1e-8, atol=1e-12)


def test_ridges_are_multiples_of_the_mean_diagonal(rng, backend):
    x = rng.standard_normal((80, 100))
    k = 40.0 * x @ x.T
    choice = choose_ridge(ArrayGram(k), rng.standard_normal((80, 1)), backend, 10**10)
    for trial in choice.trials:
        assert trial.ridge == pytest.approx(trial.relative * np.trace(k) / 80)


def test_clean_targets_are_interpolated(rng):
    x = rng.uniform(-1, 1, (150, 1))
    solution = kernelfit.solve(x, np.abs(x[:, 0]), kernel="laplacian", gamma=1.0, ridge="auto")
    assert solution.ridge == 0.0
    assert solution.certificate.interpolates


def chosen_by_hand(trials, rows):
    """Of the ridges within a standard error of the least count the one of least residual."""
    usable = [trial for trial in trials if trial.loo_rmse is not None]
    least = min(trial.loo_error for trial in usable)
    equal = [t for t in usable if t.loo_error <= least + np.sqrt(least * (1 - least) / rows)]
    return min(equal, key=lambda trial: trial.loo_rmse)


@pytest.mark.parametrize(
    ("errors", "residuals", "expected"),
    [
        ((0.30, 0.20, 0.20), (0.5, 0.4, 0.3), 2),
        ((0.30, 0.20, 0.21), (0.5, 0.4, 0.3), 2),  # within a standard error, 0.0126: the residual decides
        ((0.30, 0.20, 0.22), (0.5, 0.4, 0.3), 1),  # beyond it
        ((None, None, None), (0.5, 0.4, 0.3), 2),
        ((0.0, 0.0, 0.001), (0.5, 0.4, 0.3), 1),
    ],
)
def test_equals_are_those_within_a_standard_error(errors, residuals, expected, backend, rng, monkeypatch):
    n, candidates = 1000, (0.0, 0.1, 1.0)
    scripted = iter(zip(errors, residuals, strict=True))
    monkeypatch.setattr(ridge_module, "leave_one_out_path", lambda *_: iter([np.zeros((n, 2))] * 3))
    monkeypatch.setattr(ridge_module, "is_one_hot", lambda _: errors[0] is not None)
    current: list[float] = []

    def error_rate(*_):
        current[:] = next(scripted)
        return current[0]

    def residual(_):
        return current[1] if errors[0] is not None else next(scripted)[1]

    monkeypatch.setattr(ridge_module, "error_rate", error_rate)
    monkeypatch.setattr(ridge_module, "extended", lambda trials, *_: trials)
    monkeypatch.setattr(ridge_module, "root_mean_square", residual)
    choice = choose_ridge(ArrayGram(np.eye(n)), np.zeros((n, 2)), backend, 10**10, candidates=candidates)
    assert choice.relative == candidates[expected]


def test_many_rows_try_what_few_rows_prefer(noisy, monkeypatch):
    x, y = noisy
    whole = kernelfit.solve(x, y, gamma=5.0, ridge="auto").ridge_choice
    monkeypatch.setattr(ridge_module, "FIRST_ROWS", 60)
    choice = kernelfit.solve(x, y, gamma=5.0, ridge="auto").ridge_choice
    assert choice.ridge == whole.ridge
    assert choice.rows == 250
    assert 5 <= len(choice.trials) < len(whole.trials)
    for trial in choice.trials:
        (same,) = (t for t in whole.trials if t.relative == trial.relative)
        assert trial.loo_rmse == pytest.approx(same.loo_rmse, rel=1e-9)


def test_classes_are_counted_and_the_residual_decides_among_equals(rng, backend):
    labels = rng.integers(0, 3, 200)
    x = np.eye(3)[labels] @ rng.standard_normal((3, 5)) + 0.7 * rng.standard_normal((200, 5))
    k = np.exp(-0.2 * ((x[:, None] - x) ** 2).sum(-1))
    choice = choose_ridge(ArrayGram(k), np.eye(3)[labels], backend, 10**10)
    usable = [trial for trial in choice.trials if trial.loo_rmse is not None]
    assert choice.relative == chosen_by_hand(choice.trials, 200).relative
    inverse = np.linalg.inv(k + choice.ridge * np.eye(200))
    left_out = np.eye(3)[labels] - inverse @ np.eye(3)[labels] / np.diag(inverse)[:, None]
    mine = next(trial for trial in usable if trial.relative == choice.relative)
    assert mine.loo_error == np.mean(left_out.argmax(axis=1) != labels)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([[1, 0], [0, 1]], True),
        ([[1, 0], [1, 1]], False),
        ([[1, 0], [0, 0]], False),
        ([[2, -1], [0, 1]], False),
        ([[1], [1]], False),
        ([[0.5, 0.5], [0, 1]], False),
    ],
)
def test_what_is_one_hot(targets, expected):
    assert is_one_hot(np.array(targets, dtype=float)) is expected


def test_a_subsample_is_drawn_by_the_seed_and_reported(noisy, monkeypatch):
    monkeypatch.setattr(ridge_path, "ALL_ROWS", 60)
    x, y = noisy
    first, same, other = (kernelfit.solve(x, y, gamma=5.0, ridge="auto", seed=seed) for seed in (0, 0, 1))
    assert first.ridge_choice.rows < first.ridge_choice.of == 250
    assert f"{first.ridge_choice.rows} training rows drawn from 250" in first.notes[-1]
    assert [t.loo_rmse for t in first.ridge_choice.trials] == [t.loo_rmse for t in same.ridge_choice.trials]
    assert [t.loo_rmse for t in first.ridge_choice.trials] != [t.loo_rmse for t in other.ridge_choice.trials]


def test_a_precomputed_gram_and_its_subsample(noisy, monkeypatch):
    monkeypatch.setattr(ridge_path, "ALL_ROWS", 60)
    x, y = noisy
    k = np.exp(-5.0 * ((x[:, None] - x) ** 2).sum(-1))
    whole = kernelfit.solve(x, y, gamma=5.0, ridge="auto")
    given = kernelfit.solve(k, y, kernel="precomputed", ridge="auto")
    assert given.ridge_choice.relative == whole.ridge_choice.relative
    for one, other in zip(given.ridge_choice.trials, whole.ridge_choice.trials, strict=True):
        assert one.loo_rmse == pytest.approx(other.loo_rmse, rel=1e-6)


def test_where_no_ridge_helps_none_is_taken(rng, backend):
    # Every ridge predicts zero for a row that no other row resembles.
    choice = choose_ridge(ArrayGram(np.eye(40)), rng.standard_normal((40, 1)), backend, 10**10)
    assert choice.ridge == 0
    assert not choice.at_edge
    assert choice.summary().startswith("ridge 0 (interpolation) by leave-one-out on 40 training rows")


def test_the_largest_ridge_tried_is_reported_as_such(rng, backend):
    # Nothing but noise: the more it is shrunk, the better.
    k = np.exp(-((np.linspace(0, 1, 60)[:, None] - np.linspace(0, 1, 60)) ** 2) * 50)
    choice = choose_ridge(ArrayGram(k), rng.standard_normal((60, 1)), backend, 10**10)
    assert choice.relative == 1000.0
    assert choice.at_edge
    assert choice.trials[-1].loo_rmse == pytest.approx(choice.trials[-2].loo_rmse, rel=1e-3)
    assert "the largest tried" in choice.summary()


def test_candidates_go_on_where_the_best_is_the_smallest(rng, backend):
    # Rank 2 of 40, and a target that it holds but for 1e-7: less than 1e-6 of the mean diagonal is best.
    x = np.stack([np.ones(40), np.linspace(0, 1, 40)], axis=1)
    y = x @ [1.0, 2.0] + 1e-8 * rng.standard_normal(40)
    choice = choose_ridge(ArrayGram(x @ x.T), y[:, None], backend, 10**10)
    assert choice.trials[0].loo_rmse is None
    assert 0 < choice.relative < 1e-6
    usable = [trial for trial in choice.trials if trial.loo_rmse is not None]
    assert usable[0].relative < choice.relative or not usable[0].loo_rmse < 0.999 * usable[1].loo_rmse


def test_equal_rows_with_different_targets_leave_ridge_zero_out(noisy):
    x, y = noisy
    x[1] = x[0]
    progress = Silent()
    solution = kernelfit.solve(x, y, gamma=5.0, ridge="auto", progress=progress)
    assert solution.ridge_choice.trials[0].relative > 0
    assert len(solution.kept) == 250
    assert any(note.startswith("ridge 0 is not tried: X: equal rows") for note in progress.notes)
    assert progress.notes == solution.notes


def test_equal_rows_with_equal_targets_count_beside_a_ridge_only(noisy):
    x, y = noisy
    x[1], y[1] = x[0], y[0]
    solution = kernelfit.solve(x, y, gamma=5.0, ridge="auto")
    assert solution.ridge > 0
    assert solution.ridge_choice.rows == 249
    assert "1 row repeats" in solution.notes[0]
    assert len(solution.kept) == 250
    assert np.array_equal(solution.alpha, kernelfit.solve(x, y, gamma=5.0, ridge=solution.ridge).alpha)


def test_a_linear_kernel_with_few_features_is_never_interpolated_by_rounding(rng):
    x = rng.standard_normal((100, 4))
    y = x @ rng.standard_normal(4) + 0.1 * rng.standard_normal(100)
    solution = kernelfit.solve(x, y, kernel="linear", ridge="auto")
    assert solution.ridge_choice.trials[0].loo_rmse is None
    assert solution.ridge > 0


def test_refusals(noisy, backend):
    x, y = noisy
    with pytest.raises(InputError, match="ridge: got 'best', expected a finite number >= 0 or 'auto'"):
        kernelfit.solve(x, y, ridge="best")
    with pytest.raises(InputError, match="mean diagonal"):
        kernelfit.solve(np.zeros((3, 3)), y[:3], kernel="precomputed", ridge="auto")
    singular = ArrayGram(np.ones((50, 50)))
    with pytest.raises(InputError, match="singular for every ridge"):
        choose_ridge(singular, y[:50, None], backend, 10**10, candidates=(0.0, 1e-15))


def test_no_ridge_that_was_chosen_on_some_rows_gives_way_where_all_rows_have_no_factor(monkeypatch):
    x = np.linspace(0, 1, 100)[:, None]
    none = ridge_module.RidgeChoice(
        0.0, 0.0, (ridge_module.RidgeTrial(0.0, 0.0, None, 0.1),), 9, 100, "eigenvalues", 0.0
    )
    monkeypatch.setattr("kernelfit.solver.pose.choose_ridge", lambda *_, **__: none)
    solution = kernelfit.solve(x, np.sin(3 * x[:, 0]), gamma=1.0, ridge="auto")
    assert 0 < solution.ridge <= 1e-8
    assert any("K is not positive definite" in note for note in solution.notes)
    assert solution.score(x, np.sin(3 * x[:, 0])) > 0.999999


@pytest.mark.parametrize("options", [{}, {"sample_weight": np.linspace(1.0, 2.0, 200)}])
def test_a_ridge_for_a_factor_in_float32_is_one_that_it_can_have(options):
    """It was judged in float64, and the factor was not positive definite."""
    x = np.linspace(0, 1, 200)[:, None]
    y = np.sin(6 * x[:, 0])
    solution = kernelfit.solve(x, y, gamma=0.5, ridge="auto", precision="float32", **options)
    assert solution.ridge > 10 * 200 * 2.0**-24
    assert solution.score(x, y) > 0.99
    for precision in ("float64", "mixed"):
        smaller = kernelfit.solve(x, y, gamma=0.5, ridge="auto", precision=precision, **options)
        assert smaller.ridge < 1e-8


def test_a_number_may_be_given_as_text(noisy):
    x, y = noisy
    assert kernelfit.solve(x, y, ridge="0.25").ridge == 0.25
